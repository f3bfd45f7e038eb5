"""Fitting weights, term lists and confidence.

No measuring of a finished version (evaluation).
"""
