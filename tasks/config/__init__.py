"""Settings, read once from the environment, validated and frozen.

Nothing else of ours is imported here, no logging, Redis, Celery or Flask.
"""
