"""Helpers for webhooks: create endpoints, and record attempts with a chosen result."""

from __future__ import annotations

from typing import Any

from flask.testing import FlaskClient

from tasks.jobs.lanes import Lane
from tasks.queue.consumer import Consumer
from tasks.store.client import Store
from tasks.webhooks.deliveries import Result
from tasks.webhooks.delivery.attempts import Attempt, record

ENDPOINTS = "/v1/webhook-endpoints"
URL = "https://example.com/hook?token=t0k3n"
ENDPOINT_MEMBERS = {
    *("id", "url", "events", "description", "enabled", "disabled_reason", "created_at", "links"),
}


def made(client: FlaskClient, **members: Any) -> dict[str, Any]:
    """A new endpoint, with its secret."""
    response = client.post(ENDPOINTS, json={"url": URL, **members})
    assert response.status_code == 201, response.text
    endpoint: dict[str, Any] = response.get_json()
    return endpoint


def attempted(store: Store, result: Result, wait_ms: int = 0, **entry: Any) -> list[str]:
    """Record an attempt of every delivery that waits in the lane; returns their ids."""
    worker = Consumer(store, Lane.WEBHOOKS)
    units = list(worker.claim(64, 0).units)
    record(worker, [Attempt(unit, result, wait_ms, entry, "{}", "") for unit in units])
    return [unit.job for unit in units]
