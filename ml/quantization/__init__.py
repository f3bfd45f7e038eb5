"""int8 weights and layers.

No tiers or pipelines.
"""
