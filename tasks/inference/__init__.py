"""The life of a batch: prepare, predict, settle, and what is told of it.

No Redis commands of its own (tasks.queue claims and commits), no processes or signals.
"""
