"""Authentication by bearer key, and the check of its scope."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from functools import wraps
from typing import NoReturn, ParamSpec, TypeVar

from flask import g, request

from app.access_control.rate_limits import spend
from app.api_keys.key_format import key_id_of
from app.api_keys.principal import KeyLimits, Principal, Scope
from app.http.client_address import client_address
from app.http.errors import Forbidden, TooManyWrongKeys, Unauthorized
from app.services import services

P = ParamSpec("P")
R = TypeVar("R")

OPERATOR = Principal(  # the holder of PENSTOCK_API_KEY; no benchmark reaches its limits
    owner="default",
    key_id="operator",
    scopes=frozenset(Scope),
    limits=KeyLimits(requests_per_s=100_000, items_per_s=1_000_000, unfinished_items=10_000_000),
)


def requires(scope: Scope) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorator: refuse a request without a valid key of that scope; sets `g.principal`."""

    def guard(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            g.principal = _principal()
            spend(requests=1)
            if not g.principal.may(scope):
                raise Forbidden(f"This needs a key with the scope '{scope}'.")
            return view(*args, **kwargs)

        return checked

    return guard


def _principal() -> Principal:
    """Find the holder of the request's key. A valid key works however many wrong ones are sent.

    Raises:
        Unauthorized, TooManyWrongKeys: the request has no valid key.
        redis.RedisError: Redis is out of reach, and the key is not the operator's.
    """
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    key = key.strip() if scheme.lower() == "bearer" else ""
    return find_principal(key) or refuse(key, "Give a valid key as 'Authorization: Bearer <key>'.")


def find_principal(key: str) -> Principal | None:
    """Find the holder of a key; None if the key is not valid.

    Raises:
        redis.RedisError: Redis is out of reach, and the key is not the operator's.
    """
    here = services()
    if hmac.compare_digest(key.encode(), here.settings.api_key.encode()):
        return OPERATOR
    return here.key_cache.principal_of(key)


def refuse(key: str, advice: str) -> NoReturn:
    """Refuse a wrong key without saying what is wrong with it. A missing key is not counted.

    Raises:
        TooManyWrongKeys: too many wrong keys came from this address or named this id.
        Unauthorized: otherwise.
    """
    here = services()
    if "Authorization" in request.headers:
        forwarded_for = request.headers.get("X-Forwarded-For", "")
        address = client_address(request.remote_addr or "", forwarded_for, here.proxies)
        wait_s = here.failed_attempts.count(address, key_id_of(key))
        if wait_s is not None:
            raise TooManyWrongKeys(
                "Too many wrong keys from this address or with this id. A valid key still works.",
                wait_s,
            )
    raise Unauthorized(advice)
