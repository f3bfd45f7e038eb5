"""The HTTP API of Penstock; factory.py builds the application, services.py what its handlers need,
and wsgi.py is what a server loads.

No handler or schema lives at this level, and nothing below imports torch.
"""
