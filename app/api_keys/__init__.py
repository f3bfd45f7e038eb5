"""API keys as data: their format, records, per-process cache, management and failed attempts.

No Flask.
"""
