"""Rate limits of a key, and the response headers that report them.

The header fields are those of draft-ietf-httpapi-ratelimit-headers-11, "RateLimit header fields for
HTTP": lists of structured fields (RFC 9651). No unit is registered there for items, so the name of
their policy says what it counts.
"""

from __future__ import annotations

from flask import Flask, Response, g

from app.http.errors import BadRequest, RateLimited, Unavailable
from app.rate_limiting.limiter import ITEMS_WINDOW_S, QuotaState
from app.rate_limiting.sliding_window import RatePolicy, StoreUnavailable
from app.services import services


def spend(requests: int = 0, items: int = 0) -> None:
    """Count a request, or the items of one, against the rates of `g.principal`.

    Raises:
        BadRequest: there are more items than this key may ever send at once.
        RateLimited: the key has used its rate up for now.
        Unavailable: Redis cannot count it, and PENSTOCK_LIMITER_FAIL is "closed".
    """
    here, principal = services(), g.principal
    _check_size(items, principal.limits.items_per_s * ITEMS_WINDOW_S)
    try:
        quota_states = here.rate_limiter.take(principal, requests, items)
    except StoreUnavailable:
        if here.settings.limiter_fail == "closed":
            raise Unavailable("The rate limiter's store does not answer; try again.") from None
        return
    g.quota_states = [*g.get("quota_states", ()), *quota_states]
    for state in quota_states:
        if state.refused:
            raise RateLimited(_refusal(state.policy), state.reset_s)


def install(app: Flask) -> None:
    """Add the RateLimit headers to every response to a valid key."""

    @app.after_request
    def add_headers(response: Response) -> Response:
        if principal := g.get("principal"):
            policies = services().rate_limiter.quotas(principal).policies
            response.headers.add("RateLimit-Policy", policies)
        if quota_states := g.get("quota_states"):
            response.headers.add("RateLimit", ", ".join(map(_field, quota_states)))
        return response


def _check_size(items: int, most: int) -> None:
    if items > most:
        detail = f"Must hold at most {most} inputs: what this key may send in {ITEMS_WINDOW_S} s."
        raise BadRequest(
            "The job is larger than this key's rate allows.",
            [{"pointer": "/inputs", "detail": detail}],
        )


def _refusal(policy: RatePolicy) -> str:
    span = "second" if policy.window_s == 1 else f"{policy.window_s} seconds"
    return (
        f"This key may send {policy.quota} {policy.name} in any {span} (policy "
        f'"{policy.name}"); nothing was accepted. Try again after Retry-After seconds.'
    )


def _field(state: QuotaState) -> str:
    return f'"{state.policy.name}";r={state.remaining};t={state.reset_s}'
