"""From claimed deliveries to orders: what to send where, signed by what; or why not."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from tasks.jobs.model import Job, timestamp
from tasks.queue.consumer import Consumer
from tasks.queue.units import Unit
from tasks.store.client import Store
from tasks.store.scripts.webhooks import LOAD_DELIVERIES, LoadDeliveriesArgs
from tasks.webhooks.deliveries import OF_JOB, Delivery, Result
from tasks.webhooks.delivery.attempts import Attempt
from tasks.webhooks.endpoints import Endpoint
from tasks.webhooks.links import job_document
from tasks.webhooks.owner_secrets import signing
from tasks.webhooks.signing import signed_headers

MOST_BODY_BYTES = 20_480  # above, a link takes the place of the output
UNREADABLE_WAIT_MS = 60_000  # until the operator has brought the right PENSTOCK_WEBHOOK_KEY back
PATIENCE_S = 3_600  # beyond the schedule, for a delivery that waits for its endpoint's breaker


class Undeliverable(Exception):
    """No attempt will ever be made. code: why, for the delivery's log."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Clock:
    """Redis's clock as it stood when it was read. now_ms: since the epoch. read_at: monotonic."""

    now_ms: int
    read_at: float

    @property
    def ms(self) -> int:
        return self.now_ms + int((time.monotonic() - self.read_at) * 1000)


@dataclass(frozen=True, slots=True)
class DeliveryRequest:
    """A delivery to be attempted now. job: None if its record has expired since the first try."""

    unit: Unit
    delivery: Delivery
    body: bytes
    url: str
    secrets: Sequence[str] = field(repr=False)
    clock: Clock
    job: Job | None

    @property
    def origin(self) -> tuple[str | None, str | None]:
        """Request id and traceparent of the job, also when its record has expired."""
        if self.job:
            return self.job.spec.request_id, self.job.spec.traceparent
        request_id, traceparent = self.delivery.origin or (None, None)
        return request_id, traceparent

    def headers(self, traceparent: str | None = None) -> dict[str, str]:
        """Of an attempt now: the id is that of the delivery, the time is fresh.

        traceparent: of the attempt's own span, if it has one.
        """
        seconds = self.clock.ms // 1000
        headers = signed_headers(self.delivery.id, seconds, self.body, self.secrets)
        request_id, of_job = self.origin
        if request_id:
            headers["X-Request-ID"] = request_id
        if traceparent := traceparent or of_job:
            headers["traceparent"] = traceparent
        return headers

    def attempt(
        self,
        result: Result,
        wait_ms: int = 0,
        entry: Mapping[str, Any] | None = None,
        asked: bool = True,
    ) -> Attempt:
        """What became of it; all that the next attempt needs is kept with the first that failed."""
        delivery, more = self.delivery, result in (Result.RETRY, Result.POSTPONED)
        body = "" if delivery.body or not more else self.body.decode()
        url = "" if delivery.url or not more or delivery.endpoint != OF_JOB else self.url
        origin = "" if delivery.origin or not more else orjson.dumps(self.origin).decode()
        line = _line(self.clock, delivery, entry or {})
        return Attempt(self.unit, result, wait_ms, line, body, url, origin, asked)


def prepare(worker: Consumer, units: Sequence[Unit]) -> tuple[list[DeliveryRequest], list[Attempt]]:
    """Orders to send now, and what became of the units that are not to be sent.

    Raises:
        redis.RedisError: Redis is out of reach.
    """
    store = worker.store
    args = LoadDeliveriesArgs(store.settings.breaker_cool_down_ms, len(Job.FIELDS))
    now_ms, *rows = store.run(LOAD_DELIVERIES, args, [Job.FIELDS, [unit.job for unit in units]])
    clock = Clock(now_ms, time.monotonic())
    deliveries = [_delivery(unit, row[0]) for unit, row in zip(units, rows, strict=True)]
    of_owners = _secrets_of_owners(store, clock, deliveries, rows)
    desk = RequestBuilder(store, clock, of_owners)
    found = [
        desk.look(unit, delivery, row)
        for unit, delivery, row in zip(units, deliveries, rows, strict=True)
    ]
    orders = [one for one in found if isinstance(one, DeliveryRequest)]
    return orders, [one for one in found if isinstance(one, Attempt)]


def _delivery(unit: Unit, fields: Sequence[str]) -> Delivery | None:
    return Delivery.read(unit.job, dict(zip(fields[::2], fields[1::2], strict=True)))


def _secrets_of_owners(
    store: Store, clock: Clock, deliveries: Sequence[Delivery | None], rows: Sequence[Any]
) -> dict[str, tuple[str, ...]]:
    """What signs the webhooks of single jobs, by owner."""
    pairs = zip(deliveries, rows, strict=True)
    kept = {one.owner: row[3] for one, row in pairs if one and one.endpoint == OF_JOB}
    return signing(store, kept, clock.now_ms * 1000)


class RequestBuilder:
    """Where the deliveries of one batch are looked at. secrets: of owners' jobs."""

    def __init__(self, store: Store, clock: Clock, secrets: Mapping[str, Sequence[str]]) -> None:
        self._store = store
        self._clock = clock
        self._secrets = secrets

    def look(
        self, unit: Unit, delivery: Delivery | None, row: Sequence[Any]
    ) -> DeliveryRequest | Attempt:
        """An order, or what became of the delivery without an attempt."""
        if delivery is None:  # its record has gone since it was claimed
            return Attempt(unit, Result.FAILED, asked=False)
        _, endpoint, values, _, wait_ms = row
        try:
            return self._in_time(self._order(unit, delivery, endpoint, values), wait_ms)
        except Undeliverable as reason:
            entry = {"status": None, "error": reason.code, "ms": 0}
            line = _line(self._clock, delivery, entry)
            return Attempt(unit, Result.FAILED, 0, line, asked=False)

    def _order(
        self, unit: Unit, delivery: Delivery, endpoint: str, values: list[str | None]
    ) -> DeliveryRequest:
        job = Job.read(delivery.job, values)
        body = delivery.body.encode() if delivery.body else body_of(delivery, job)
        if delivery.endpoint == OF_JOB:
            url, secrets = _url_of_job(delivery, job), self._secrets[delivery.owner]
        else:
            url, secrets = self._of_endpoint(delivery, endpoint)
        return DeliveryRequest(unit, delivery, body, url, secrets, self._clock, job)

    def _of_endpoint(self, delivery: Delivery, text: str) -> tuple[str, Sequence[str]]:
        """The URL and the secrets."""
        if not text:
            raise Undeliverable("endpoint_deleted")
        settings, now = self._store.settings, self._clock.now_ms * 1000
        found = Endpoint.read(settings, delivery.owner, delivery.endpoint, text, now)
        if not found.enabled:
            raise Undeliverable("endpoint_disabled")
        return found.url, found.secrets

    def _in_time(self, order: DeliveryRequest, wait_ms: int) -> DeliveryRequest | Attempt:
        """The order, or that it is postponed: its endpoint keeps failing, or it cannot be signed.

        Raises:
            Undeliverable: it has waited for longer than all its attempts would have taken.
        """
        if order.secrets and not wait_ms:
            return order
        lasts_s = sum(self._store.settings.webhook_schedule_s) + PATIENCE_S
        if self._clock.now_ms - order.delivery.created // 1000 > lasts_s * 1000:
            raise Undeliverable("endpoint_unavailable" if order.secrets else "secret_unreadable")
        return order.attempt(
            Result.POSTPONED, spread(wait_ms if order.secrets else UNREADABLE_WAIT_MS)
        )


def body_of(delivery: Delivery, job: Job | None) -> bytes:
    """The event as it is sent, the same at every call: an ended job never changes.

    Raises:
        Undeliverable: the job's record has expired.
    """
    if job is None:
        raise Undeliverable("job_expired")
    view = job_document(job)
    event = {"type": delivery.event, "timestamp": timestamp(job.finished), "data": view}
    body = orjson.dumps(event)
    if len(body) > MOST_BODY_BYTES:
        view["output"] = None
        view["links"]["output"] = view["links"]["self"]
        body = orjson.dumps(event)
    return body


def _url_of_job(delivery: Delivery, job: Job | None) -> str:
    webhook = job.spec.webhook if job else None
    url: str | None = delivery.url or (webhook["url"] if webhook else None)
    if not url:
        raise Undeliverable("job_expired")
    return url


def spread(ms: float, low: float = 1.0, high: float = 1.1) -> int:
    """A wait of about `ms`, so that what failed together does not come back together."""
    return int(ms * random.uniform(low, high))  # noqa: S311


def _line(clock: Clock, delivery: Delivery, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Of the delivery's log."""
    trigger = {"trigger": delivery.trigger} if delivery.trigger else {}
    return {"at": timestamp(clock.ms * 1000), **entry, **trigger}
