"""What clients may send: marshmallow schemas and the error lists made of them.

No services(), no flask.g, no Redis; limits are handed in.
"""
