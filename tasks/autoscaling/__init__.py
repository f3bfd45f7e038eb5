"""How many workers a lane should have: the policy, the stored decision, the pool that follows it.

Nothing about one job.
"""
