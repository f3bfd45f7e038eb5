"""One training run: configuration, stages, metrics, release.

Serving, tasks and app never import it.
"""
