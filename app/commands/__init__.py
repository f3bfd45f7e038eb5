"""The commands `flask keys`, `flask jobs` and `flask webhooks`, and the printer of openapi.json.

No logic that an API route needs too; the application factory does not import it.
"""
