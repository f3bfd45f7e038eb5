"""Training of the moderation model: configuration, stages, metrics and release of a version.

Serving, tasks and app never import it.
"""
