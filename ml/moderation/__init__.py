"""The moderation pipeline: text features, policy and routing.

No torch: its tiers live in models and are loaded by workers alone.
"""
