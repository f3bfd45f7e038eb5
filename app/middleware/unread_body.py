"""Closes the connection of a request whose body was not read to its end."""

from __future__ import annotations

from flask import Flask, Response, g, request


def install(app: Flask) -> None:
    """Send `Connection: close` with an answer that leaves a part of the body unread."""

    @app.after_request
    def close_before_an_unread_body(response: Response) -> Response:
        """The server closes it anyway: it cannot tell an unread body from the next request."""
        announced = request.content_length or "Transfer-Encoding" in request.headers
        if announced and not g.get("body_is_read"):
            response.headers["Connection"] = "close"
        return response
