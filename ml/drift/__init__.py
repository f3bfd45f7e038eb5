"""Statistics of drift: comparison, reference and wording.

No Redis.
"""
