"""Fits the router of the balanced mode: `python -m ml.training.routing`.

Serving is in `ml.moderation.router`, not here.
"""
