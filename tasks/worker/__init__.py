"""The worker process: entry point, Celery signals, the pool child, its threads, devices and exit.

Nothing imports this room, and what a batch or a delivery does is not decided here.
"""
