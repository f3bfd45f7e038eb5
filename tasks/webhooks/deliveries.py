"""Deliveries: how the end of a job travels to a webhook, attempt by attempt.

    queued --claim--> running --delivered--> succeeded | failed
       ^                 |
       +--- retry, postponed (ps:webhooks:due, until its time has come)

The script that ends a job queues its deliveries (`notify` in finish.lua), so no crash loses one. A
delivery keeps its id over all attempts; receivers use it to drop what they have seen.
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

OF_JOB = "job"  # stands for an endpoint's id where the webhook is the job's own
A_PING = "ping"  # the event of a delivery that is of no job; it is tried once
ENDPOINT_DISABLED = "webhook_endpoint.disabled"  # likewise, and tried for days


class Result(StrEnum):
    """What became of an attempt. postponed: it was not made, and does not count."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RETRY = "retry"
    POSTPONED = "postponed"


@dataclass(frozen=True, slots=True)
class Delivery:
    """Times: created, finished in Redis microseconds, next in milliseconds, since the epoch.

    endpoint: its id, or `OF_JOB`. body: as first sent, so that every attempt sends the same; so is
    url, of a job's own webhook, and origin: request id and traceparent of its job. trigger: why it
    is tried now, if not by itself: manual or test.
    """

    id: str
    job: str
    owner: str
    endpoint: str
    event: str
    line: str
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
            line=fields["line"],
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
    fields = store.execute("HGETALL", keys.delivery(delivery_id))
    return Delivery.read(delivery_id, dict(zip(fields[::2], fields[1::2], strict=True)))


def deliveries_of(store: Store, job_id: str) -> list[Delivery]:
    """Those of a job, in the order in which they were queued."""
    ids = store.execute("LRANGE", keys.deliveries(job_id), 0, -1)
    return [found for one in ids if (found := read_delivery(store, one))]


def given_up(store: Store) -> Iterator[Delivery]:
    """Those that nobody will try again by itself, newest first, as far as they are kept."""
    entries: Any = store.redis.xrevrange(keys.DEAD_WEBHOOKS)
    for delivery_id in dict.fromkeys(fields["delivery"] for _, fields in entries):
        found = read_delivery(store, delivery_id)
        if found and found.status == Result.FAILED:
            yield found


def redeliver(store: Store, delivery_id: str, owner: str) -> bool:
    """Try an ended or waiting delivery again now; False if the owner has no such delivery."""
    return store.run(REDELIVER, RedeliverArgs(delivery_id, owner)) is not None


@dataclass(frozen=True, slots=True)
class Ping:
    """A delivery to try an endpoint. wake: whether the lane's workers must be told."""

    id: str
    wake: bool


def ping(store: Store, owner: str, endpoint_id: str) -> Ping:
    """Queue a delivery to one of the owner's endpoints that is of no job; it is tried once.

    Raises:
        redis.RedisError: Redis is out of reach, or full; nothing was queued.
    """
    return _queue(store, owner, endpoint_id, A_PING, {"id": endpoint_id})


def tell_disabled(store: Store, owner: str, endpoint_id: str, disabled: Mapping[str, Any]) -> Ping:
    """Queue news of a disabled endpoint for another one of its owner's, tried as often as any.

    disabled: its id, url and disabled_reason.

    Raises:
        redis.RedisError: as `ping`.
    """
    return _queue(store, owner, endpoint_id, ENDPOINT_DISABLED, disabled)


def _queue(store: Store, owner: str, endpoint_id: str, event: str, data: Mapping[str, Any]) -> Ping:
    delivery_id = f"msg_{ULID()}_{endpoint_id}"
    body = {"type": event, "timestamp": timestamp(store.now_us()), "data": data}
    args = EnqueueDeliveryArgs(delivery_id, owner, endpoint_id, orjson.dumps(body), event)
    wake = store.run(ENQUEUE_DELIVERY, args)
    return Ping(delivery_id, bool(wake))
