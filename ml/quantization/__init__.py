"""Quantization: weights stored as int8 and linear layers that compute in int8.

It knows no tiers and no pipelines.
"""
