"""Drift of the input: sampling, comparison with the reference, the alarm, the monitor thread.

No statistics, which ml.drift has.
"""
