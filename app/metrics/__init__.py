"""The Prometheus text of GET /metrics, from the counters in Redis.

No authentication and no routes.
"""
