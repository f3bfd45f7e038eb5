"""The operators' page at /console.

Only the application factory imports this room.
"""
