"""Read-only answers about the whole service for operators: health, overview, usage, cost.

No writes to Redis, and no Prometheus or HTTP formats.
"""
