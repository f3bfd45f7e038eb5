"""The life of a batch: prepare, predict, settle, report.

No Redis commands of its own (tasks.queue claims and commits), no processes or signals.
"""
