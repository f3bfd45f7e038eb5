"""What wraps every request: ids, access log, metrics, error handlers, CORS, limits on concurrency.

No services() and nothing about one route.
"""
