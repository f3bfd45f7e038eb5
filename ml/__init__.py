"""Models: the public contract (pipeline.py), loading by name, the null pipeline, four commands.

Only the commands import torch at this level; Redis, Celery and Flask are unknown here.
"""
