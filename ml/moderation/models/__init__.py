"""The three tiers of the moderation pipeline: transformer, cnn and rules.

Policy is not here (ml/moderation/policy.py).
"""
