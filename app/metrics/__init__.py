"""The text of GET /metrics: what Redis has counted, as Prometheus families.

No authentication and no routes.
"""
