"""Code specific to the granian server and its processes.

Nothing that another WSGI server would need as well.
"""
