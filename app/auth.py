"""Who is asking: bearer keys."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import g, request

from app.errors import Unauthorized
from app.services import services

P = ParamSpec("P")
R = TypeVar("R")

OWNER = "default"  # the one key's owner, until there are many


def key_required(view: Callable[P, R]) -> Callable[P, R]:
    """Refuse a request without a valid key; sets `g.owner`."""

    @wraps(view)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        expected = services().settings.api_key.encode()
        if scheme.lower() != "bearer" or not hmac.compare_digest(key.strip().encode(), expected):
            raise Unauthorized("Give a valid key as 'Authorization: Bearer <key>'.")
        g.owner = OWNER
        return view(*args, **kwargs)

    return checked
