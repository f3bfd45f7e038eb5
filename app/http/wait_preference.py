"""Reads how many seconds a client wants to wait: `?wait=N` and `Prefer: wait=N` (RFC 7240)."""

from __future__ import annotations

import re

from flask import request

from app.http.errors import BadRequest

_PREFER = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,9})\"?(?=$|[,;\s])", re.IGNORECASE)


def preferred_wait(longest_s: int) -> int | None:
    """Seconds from the Prefer header, capped; None if it has no valid `wait`."""
    found = _PREFER.search(request.headers.get("Prefer", ""))
    return min(int(found[1]), longest_s) if found else None


def query_wait(longest_s: int) -> int:
    """Seconds from the query, capped.

    Raises:
        BadRequest: it is not a whole number of seconds.
    """
    if not request.query_string:
        return 0
    given = request.args.get("wait", "0")
    if not re.fullmatch(r"\d{1,9}", given, re.ASCII):
        detail = f"Must be a whole number of seconds; more than {longest_s} counts as {longest_s}."
        raise BadRequest("The query is not valid.", [{"parameter": "wait", "detail": detail}])
    return min(int(given), longest_s)
