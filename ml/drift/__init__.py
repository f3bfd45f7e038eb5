"""Drift statistics: the reference data, the comparison with production, and the report in words.

No Redis: tasks/drift collects the samples.
"""
