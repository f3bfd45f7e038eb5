"""Models: the pipeline contract (pipeline.py), loading by name, and the commands that train them.

At this level only the commands import torch; nothing in ml imports Redis, Celery or Flask.
"""
