"""Security headers of every response (OWASP Secure Headers Project; CSP Level 3).

A header that a view sets itself stays, as /docs needs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "penstock",  # without a version, and not the server's own name
}
_PAIRS = list(SECURITY_HEADERS.items())


class _HeaderMiddleware:
    """WSGI middleware: five changes to Flask's headers would cost a tenth of a whole response."""

    def __init__(self, wsgi_app: WSGIApplication) -> None:
        self._wsgi_app = wsgi_app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def protect(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            own = {name for name, _ in headers}
            missing = [pair for pair in _PAIRS if pair[0] not in own]
            return start_response(status, [*headers, *missing], exc_info)

        return self._wsgi_app(environ, protect)


def install(app: Flask) -> None:
    """Add them to every response of `app`, errors too. HSTS is up to the proxy that ends TLS."""
    app.wsgi_app = _HeaderMiddleware(app.wsgi_app)  # type: ignore[method-assign]
