"""Measuring a version and writing its evidence.

Nothing here changes the version.
"""
