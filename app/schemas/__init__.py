"""Validation of what clients send: marshmallow schemas and their error lists.

No services(), no flask.g, no Redis; limits are passed as arguments.
"""
