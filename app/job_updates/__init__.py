"""How a client hears that a job has ended: long polls and server-sent events.

No routes.
"""
