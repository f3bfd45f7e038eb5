"""Fits weights, term lists and confidence.

A finished version is measured in evaluation/, not here.
"""
