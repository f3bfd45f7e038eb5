"""Runs Penstock on one machine without Docker: `python -m deploy.local up` and `down`."""
