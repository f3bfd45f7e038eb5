"""The Lua scripts and the typed records of their arguments, one module per folder of tasks/lua.

No logic: a module here names what its scripts take, in the order in which they take it.
"""
