"""The operators' page at /console.

No other room imports it but the application factory.
"""
