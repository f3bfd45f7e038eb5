"""The three tiers of the moderation pipeline.

No policy.
"""
