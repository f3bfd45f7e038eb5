"""Who is asking: bearer keys."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import g, request

from app.errors import Unauthorized
from app.principal import Limits, Principal, Scope
from app.services import services

P = ParamSpec("P")
R = TypeVar("R")

OPERATOR = Principal(  # whoever holds the key of the settings; no benchmark reaches its limits
    owner="default",
    key_id="operator",
    scopes=frozenset(Scope),
    limits=Limits(requests_per_s=100_000, items_per_s=1_000_000, unfinished_items=10_000_000),
)


def key_required(view: Callable[P, R]) -> Callable[P, R]:
    """Refuse a request without a valid key; sets `g.principal`."""

    @wraps(view)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        expected = services().settings.api_key.encode()
        if scheme.lower() != "bearer" or not hmac.compare_digest(key.strip().encode(), expected):
            raise Unauthorized("Give a valid key as 'Authorization: Bearer <key>'.")
        g.principal = OPERATOR
        return view(*args, **kwargs)

    return checked
