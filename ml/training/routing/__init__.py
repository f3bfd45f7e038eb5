"""Fitting the router of the balanced mode: `python -m ml.training.routing`.

No serving (ml.moderation.router).
"""
