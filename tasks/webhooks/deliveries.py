"""Deliveries: one event for one webhook endpoint, over all its attempts.

    queued --claim--> running --record--> succeeded | failed
       ^                 |
       +--- retry, postponed (ps:webhooks:due, until the next attempt is due)

The script that finishes a job queues its deliveries, so no crash loses one. A delivery keeps its id
over all attempts; receivers use it to ignore duplicates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson
from ulid import ULID

from tasks.jobs.model import timestamp
from tasks.store import keys
from tasks.store.client import Store
from tasks.store.scripts.webhooks import (
    ENQUEUE_DELIVERY,
    REDELIVER,
    EnqueueDeliveryArgs,
    RedeliverArgs,
)

OF_JOB = "job"  # in place of an endpoint's id: the webhook was given with the job itself
A_PING = "ping"  # test event; it belongs to no job and is tried once
ENDPOINT_DISABLED = "webhook_endpoint.disabled"  # belongs to no job; retried as any other


class Result(StrEnum):
    """The result of an attempt. postponed: no request was made, so it does not count."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RETRY = "retry"
    POSTPONED = "postponed"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery as Redis has it.

    Times are since the epoch: created and finished in Redis microseconds, next in milliseconds.
    endpoint: its id, or `OF_JOB`. target: what the circuit breaker and the concurrency limit are
    for: the endpoint, or the host to which an owner's jobs send. body: as first sent, so that every
    attempt sends the same. url: of a job's own webhook, as first used. origin: request id and
    traceparent of its job. trigger: manual or test, unless the attempt is by schedule.
    """

    id: str
    job: str
    owner: str
    endpoint: str
    event: str
    target: str
    status: str
    created: int
    finished: int | None = None
    next: int | None = None
    tries: int = 0
    body: str | None = None
    url: str | None = None
    origin: Sequence[str | None] | None = None
    trigger: str | None = None
    log: Sequence[Mapping[str, Any]] = ()

    @classmethod
    def read(cls, delivery_id: str, fields: Mapping[str, str]) -> Delivery | None:
        """From the fields of its record; None if it has no record."""
        if "job" not in fields:
            return None
        tries = int(fields.get("tries", 0))
        finished, due = fields.get("finished"), fields.get("next")
        return cls(
            id=delivery_id,
            job=fields["job"],
            owner=fields["owner"],
            endpoint=fields["endpoint"],
            event=fields["event"],
            target=fields["line"],
            status=fields["status"],
            created=int(fields["created"]),
            finished=int(finished) if finished else None,
            next=int(due) if due else None,
            tries=tries,
            body=fields.get("body"),
            url=fields.get("url"),
            origin=orjson.loads(fields["origin"]) if "origin" in fields else None,
            trigger=fields.get("trigger"),
            log=[orjson.loads(fields[f"l:{n}"]) for n in range(1, tries + 1)],
        )


def read_delivery(store: Store, delivery_id: str) -> Delivery | None:
    """Load a delivery; None if there is none, or it has expired."""
    fields = store.execute("HGETALL", keys.delivery(delivery_id))
    return Delivery.read(delivery_id, dict(zip(fields[::2], fields[1::2], strict=True)))


def deliveries_of(store: Store, job_id: str) -> list[Delivery]:
    """The deliveries of a job, in the order in which they were queued."""
    ids = store.execute("LRANGE", keys.deliveries(job_id), 0, -1)
    return [found for one in ids if (found := read_delivery(store, one))]


def given_up(store: Store) -> Iterator[Delivery]:
    """Deliveries that failed for good, newest first, as long as they are kept."""
    entries: Any = store.redis.xrevrange(keys.DEAD_WEBHOOKS)
    for delivery_id in dict.fromkeys(fields["delivery"] for _, fields in entries):
        found = read_delivery(store, delivery_id)
        if found and found.status == Result.FAILED:
            yield found


def redeliver(store: Store, delivery_id: str, owner: str) -> bool:
    """Queue a finished or waiting delivery for an attempt now; False if the owner has none such."""
    return store.run(REDELIVER, RedeliverArgs(delivery_id, owner)) is not None


@dataclass(frozen=True, slots=True)
class QueuedEvent:
    """A queued delivery that belongs to no job. wake: whether workers must be woken for it."""

    id: str
    wake: bool


def ping(store: Store, owner: str, endpoint_id: str) -> QueuedEvent:
    """Queue a test event for one of the owner's endpoints; it is tried once.

    Raises:
        redis.RedisError: Redis is out of reach, or full; nothing was queued.
    """
    return _queue(store, owner, endpoint_id, A_PING, {"id": endpoint_id})


def queue_disabled_event(
    store: Store, owner: str, endpoint_id: str, disabled: Mapping[str, Any]
) -> QueuedEvent:
    """Queue the event that an endpoint was disabled, for another endpoint of the same owner.

    disabled: its id, url and disabled_reason.

    Raises:
        redis.RedisError: as `ping`.
    """
    return _queue(store, owner, endpoint_id, ENDPOINT_DISABLED, disabled)


def _queue(
    store: Store, owner: str, endpoint_id: str, event: str, data: Mapping[str, Any]
) -> QueuedEvent:
    delivery_id = f"msg_{ULID()}_{endpoint_id}"
    body = {"type": event, "timestamp": timestamp(store.now_us()), "data": data}
    args = EnqueueDeliveryArgs(delivery_id, owner, endpoint_id, orjson.dumps(body), event)
    wake = store.run(ENQUEUE_DELIVERY, args)
    return QueuedEvent(delivery_id, bool(wake))
