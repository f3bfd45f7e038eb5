"""The scripts of tasks/lua/webhooks and their arguments; each Lua file explains what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Never

from tasks.store.scripts.script import Script


class EnqueueDeliveryArgs(NamedTuple):
    """Arguments of enqueue.lua."""

    delivery: str
    owner: str
    endpoint: str
    body: bytes
    event: str


class LoadDeliveriesArgs(NamedTuple):
    """Arguments of load.lua, before the names of a job's fields and the ids of the deliveries."""

    cool_down_ms: int
    field_count: int


class RecordAttemptsArgs(NamedTuple):
    """Arguments of record.lua."""

    lane: str
    consumer: str
    lease_ms: int
    log_ttl_ms: int
    most_dead: int
    threshold: int
    cool_down_ms: int


class RecordedAttempt(NamedTuple):
    """An attempt as record.lua takes it."""

    stream: str
    entry: str
    delivery: str
    unit: int
    claim: int
    payload_bytes: int
    result: str
    wait_ms: int
    log_entry: bytes
    body: str
    url: str
    origin: str
    asked: int


class RedeliverArgs(NamedTuple):
    """Arguments of redeliver.lua."""

    delivery: str
    owner: str


class PutEndpointArgs(NamedTuple):
    """Arguments of put_endpoint.lua."""

    owner: str
    endpoint: str
    known: str
    wanted: str | bytes
    events: str
    most_endpoints: int
    forget_failures: int


ENQUEUE_DELIVERY = Script[EnqueueDeliveryArgs, Never]("webhooks/enqueue", EnqueueDeliveryArgs)
LOAD_DELIVERIES = Script[LoadDeliveriesArgs, Sequence[str]]("webhooks/load", LoadDeliveriesArgs)
RECORD_ATTEMPTS = Script[RecordAttemptsArgs, RecordedAttempt](
    "webhooks/record", RecordAttemptsArgs, RecordedAttempt
)
REDELIVER = Script[RedeliverArgs, Never]("webhooks/redeliver", RedeliverArgs)
PUT_ENDPOINT = Script[PutEndpointArgs, Never]("webhooks/put_endpoint", PutEndpointArgs)
