"""One module for each resource: its blueprint and its handlers.

No Redis commands or scripts: a handler calls a function of tasks.
"""
