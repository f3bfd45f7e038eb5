"""The checks before a handler: authentication, rate limits, ownership.

No response bodies.
"""
