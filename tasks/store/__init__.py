"""The Redis client, the key names, the counter names and the loader of the Lua scripts.

No logic of jobs, units or webhooks, and no logging.
"""
