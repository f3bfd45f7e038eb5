"""Long polls and server-sent events, by which clients learn that a job has ended.

No routes.
"""
