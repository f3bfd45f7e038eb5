"""The moderation pipeline: input schema, text features, policy and routing.

No torch: its tiers are in models/ and only workers load them.
"""
