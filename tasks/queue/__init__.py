"""The worker side of a lane: claim, renew and commit leases, wake-ups and circuit breakers.

No models (only their outcomes), no HTTP, no webhooks.
"""
