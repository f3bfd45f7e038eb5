"""Errors for Sentry: set-up, scrubbing, throttling and how failures are described.

No data that a client sent or a model returned may be sent.
"""
