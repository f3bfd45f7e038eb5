"""Attempts to deliver a webhook, and the script call that records their results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from tasks.queue.consumer import Consumer
from tasks.queue.units import Unit
from tasks.store.scripts.webhooks import RECORD_ATTEMPTS, RecordAttemptsArgs, RecordedAttempt
from tasks.webhooks.deliveries import Result


@dataclass(frozen=True, slots=True)
class Attempt:
    """The result of one attempt at a claimed delivery. wait_ms: until the next attempt.

    entry: for the delivery's log, JSON. body, url, origin: what was sent, if Redis is to keep it
    for the next attempt, else empty. asked: whether the endpoint was asked, so that the result
    counts for its circuit breaker.
    """

    unit: Unit
    result: Result
    wait_ms: int = 0
    entry: Mapping[str, Any] = field(default_factory=dict)
    body: str = ""
    url: str = ""
    origin: str = ""
    asked: bool = True

    def as_row(self) -> RecordedAttempt:
        """The attempt as record.lua takes it."""
        unit = self.unit
        return RecordedAttempt(
            stream=unit.stream,
            entry=unit.entry,
            delivery=unit.job,
            unit=unit.number,
            claim=unit.attempt,
            payload_bytes=unit.bytes,
            result=self.result,
            wait_ms=self.wait_ms,
            log_entry=orjson.dumps(self.entry),
            body=self.body,
            url=self.url,
            origin=self.origin,
            asked=int(self.asked),
        )


@dataclass(frozen=True, slots=True)
class FailingEndpoint:
    """An endpoint at which no attempt has succeeded for `for_ms` milliseconds."""

    endpoint: str
    owner: str
    for_ms: int


def record(consumer: Consumer, attempts: Sequence[Attempt]) -> tuple[int, list[FailingEndpoint]]:
    """Record results; returns how many were stale, and the endpoints that keep failing.

    Stale: the unit had been lost to another worker, which delivers it again.
    """
    settings = consumer.store.settings
    args = RecordAttemptsArgs(
        lane=consumer.lane,
        consumer=consumer.name,
        lease_ms=settings.lease_ms,
        log_ttl_ms=settings.webhook_log_ttl_s * 1000,
        most_dead=settings.max_dead,
        threshold=settings.breaker_failures,
        cool_down_ms=settings.breaker_cool_down_ms,
    )
    rows = (attempt.as_row() for attempt in attempts)
    stale, *failing = consumer.store.run(RECORD_ATTEMPTS, args, rows)
    consumer.forget(attempt.unit for attempt in attempts)
    found = zip(failing[::3], failing[1::3], failing[2::3], strict=True)
    return stale, [FailingEndpoint(endpoint, owner, int(ms)) for endpoint, owner, ms in found]
