"""The Flower dashboard's process and the events that show jobs in it.

No decision about a job.
"""
