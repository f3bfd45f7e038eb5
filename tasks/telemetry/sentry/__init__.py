"""Errors for Sentry: set-up, scrubbing, throttling and how failures are described.

Nothing a client or a model sent leaves through here.
"""
