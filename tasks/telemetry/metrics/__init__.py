"""Prometheus metrics of processes: their files, families and HTTP server.

No counts that Redis keeps (app.metrics).
"""
