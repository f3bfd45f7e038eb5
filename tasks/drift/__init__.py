"""Drift of the input: sampling answers, comparing with the reference, the alarm, the hourly thread.

No statistics, which ml.drift has.
"""
