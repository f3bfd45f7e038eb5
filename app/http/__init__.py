"""HTTP itself: error classes, responses, bodies, query parameters, strict JSON, client addresses.

No blueprint, no services(); of tasks only config and telemetry.
"""
