"""Helpers for usage: read it as a client, and write counts as the scripts do."""

from __future__ import annotations

from typing import Any

from flask.testing import FlaskClient

from app.schemas.usage_query import day_of
from tasks.store import keys
from tasks.store.client import Store

OWNER = "default"


def usage(client: FlaskClient, **query: str) -> dict[str, Any]:
    response = client.get("/v1/usage", query_string=query)
    assert response.status_code == 200, response.text
    assert response.content_type == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    found: dict[str, Any] = response.get_json()
    return found


def add(store: Store, day: int, lane: str = "gpu", owner: str = OWNER, **counts: int) -> None:
    """Add to the counts of a day, as the scripts do."""
    for what, amount in counts.items():
        store.redis.hset(keys.usage(owner, day), f"{lane}|null|{what}", str(amount))


def date_of(day: int) -> str:
    return day_of(day).isoformat()
