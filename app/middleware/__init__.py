"""Middleware of every request: ids, access log, metrics, error handlers, CORS, limits.

No services() and nothing about one route.
"""
