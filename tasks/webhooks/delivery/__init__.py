"""The worker side of webhooks: claim, build the request, send it, write the result.

app does not import it; nothing else opens connections to the outside.
"""
