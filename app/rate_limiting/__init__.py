"""The rate limiter of a process and the sliding windows in Redis behind it.

No Flask and no header fields, which app.access_control.rate_limits writes.
"""
