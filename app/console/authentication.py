"""Authentication of the console: Flower's password, or an admin key as the password of any user.

HTTP Basic (RFC 7617), because a browser asks the user for it and then sends it by itself. It also
sends it with requests that another site's page makes. So a request that changes anything must come
from the console's own page: see `require_own_page`.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar
from urllib.parse import urlsplit

from flask import g, request

from app.access_control.authentication import OPERATOR, find_principal, refuse
from app.access_control.rate_limits import spend
from app.api_keys.principal import Principal, Scope
from app.http.errors import Forbidden
from app.services import services

P = ParamSpec("P")
R = TypeVar("R")

CHALLENGE = 'Basic realm="Penstock console", charset="UTF-8"'
OWN_HEADER = "X-Penstock-Console"  # a page of another origin may not set it without our permission

_ADVICE = "Log in with Flower's user and password, or with an admin key as the password."


def require_console_access(view: Callable[P, R]) -> Callable[P, R]:
    """Decorator: refuse a request with neither of them; sets `g.principal`, counts its rate."""

    @wraps(view)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        g.principal = _principal()
        spend(requests=1)
        if not g.principal.may(Scope.ADMIN):
            raise Forbidden("The console needs Flower's password or a key with the scope 'admin'.")
        return view(*args, **kwargs)

    return checked


def require_own_page(view: Callable[P, R]) -> Callable[P, R]:
    """Decorator: refuse a request that a page of another origin sent, with `Forbidden`.

    The header alone would be enough: such a page may send it only after a preflight, which fails
    here (`app.middleware.cors`). Sec-Fetch-Site (W3C Fetch Metadata) and Origin are checked, too.
    """

    @wraps(view)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        if OWN_HEADER not in request.headers or _is_foreign():
            raise Forbidden(f"Only the console's own page may do this; it sends {OWN_HEADER}.")
        return view(*args, **kwargs)

    return checked


def _is_foreign() -> bool:
    if site := request.headers.get("Sec-Fetch-Site"):
        return site != "same-origin"
    origin = request.headers.get("Origin")
    return origin is not None and urlsplit(origin).netloc != request.host


def _principal() -> Principal:
    """Flower's password opens the console as the operator, a key as its holder.

    Raises:
        Unauthorized, TooManyWrongKeys: it is neither.
    """
    shown = request.authorization
    if shown is None:
        return refuse("", _ADVICE)
    user, secret = shown.username or "", shown.password or ""
    if shown.type == "bearer":
        secret = shown.token or ""
    elif _is_flowers(user, secret):
        return OPERATOR
    return find_principal(secret) or refuse(secret, _ADVICE)


def _is_flowers(user: str, password: str) -> bool:
    """Whether they are Flower's user and password, compared in constant time."""
    settings = services().settings
    if not settings.flower_user or not settings.flower_password:
        return False
    right_user = hmac.compare_digest(user.encode(), settings.flower_user.encode())
    return hmac.compare_digest(password.encode(), settings.flower_password.encode()) and right_user
