"""What a job is, and the client side of its life: submit, stage, look up, read, list, cancel.

No leases, Celery, models or logging.
"""
