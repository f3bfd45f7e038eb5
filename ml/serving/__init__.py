"""Running a pipeline: tiers in memory, the cascade, batches, time limits, device faults.

No moderation and no training.
"""
