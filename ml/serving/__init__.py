"""Runs a pipeline: tiers in memory, the cascade, batch packing, time limits, device faults.

It knows no particular pipeline, and nothing of training.
"""
