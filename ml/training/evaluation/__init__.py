"""Measures a model version and writes its evidence: metrics, plots, drift reference.

Nothing here changes its weights.
"""
