"""What a process emits about itself: logs, metrics, traces, Sentry and Flower events.

No reading of Redis to answer a question (tasks.status), and no decision about a job.
"""
