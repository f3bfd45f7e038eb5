"""Builds signed webhook requests from claimed deliveries, or says why one cannot be delivered."""

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
from tasks.webhooks.owner_secrets import read_secrets
from tasks.webhooks.signing import signed_headers

MAX_BODY_BYTES = 20_480  # of a larger event the output is replaced by a link
UNREADABLE_WAIT_MS = 60_000  # between looks whether PENSTOCK_WEBHOOK_KEY is right again
GRACE_S = 3_600  # beyond the retry schedule, for a delivery that waits for a circuit breaker


class Undeliverable(Exception):
    """The delivery can never be attempted. code: the reason, for the delivery's log."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Clock:
    """Redis's clock at the time of one reading.

    now_ms: milliseconds since the epoch. read_at: this process's monotonic clock, seconds.
    """

    now_ms: int
    read_at: float

    @property
    def ms(self) -> int:
        """Redis's time now, in milliseconds since the epoch."""
        return self.now_ms + int((time.monotonic() - self.read_at) * 1000)


@dataclass(frozen=True, slots=True)
class DeliveryRequest:
    """A POST to send now for a claimed delivery.

    job: None if its record has expired since the first attempt. secrets: those that sign.
    """

    unit: Unit
    delivery: Delivery
    body: bytes
    url: str
    secrets: Sequence[str] = field(repr=False)
    clock: Clock
    job: Job | None

    @property
    def origin(self) -> tuple[str | None, str | None]:
        """Request id and traceparent of the job, even if its record has expired."""
        if self.job:
            return self.job.spec.request_id, self.job.spec.traceparent
        request_id, traceparent = self.delivery.origin or (None, None)
        return request_id, traceparent

    def headers(self, traceparent: str | None = None) -> dict[str, str]:
        """HTTP headers, signed with the delivery's id and the present time.

        traceparent: of the attempt's own span, if it has one; else the job's is sent.
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
        """The result to record.

        With the first attempt that is to be repeated, Redis gets the body, URL and origin for the
        next ones. asked: whether the endpoint was asked, so that the result
        counts for its circuit breaker.
        """
        delivery, again = self.delivery, result in (Result.RETRY, Result.POSTPONED)
        body = "" if delivery.body or not again else self.body.decode()
        url = "" if delivery.url or not again or delivery.endpoint != OF_JOB else self.url
        origin = "" if delivery.origin or not again else orjson.dumps(self.origin).decode()
        logged = _log_entry(self.clock, delivery, entry or {})
        return Attempt(self.unit, result, wait_ms, logged, body, url, origin, asked)


def build_requests(
    consumer: Consumer, units: Sequence[Unit]
) -> tuple[list[DeliveryRequest], list[Attempt]]:
    """Requests to send now, and the results of the deliveries that cannot be sent now.

    Raises:
        redis.RedisError: Redis is out of reach.
    """
    store = consumer.store
    args = LoadDeliveriesArgs(store.settings.breaker_cool_down_ms, len(Job.FIELDS))
    now_ms, *rows = store.run(LOAD_DELIVERIES, args, [Job.FIELDS, [unit.job for unit in units]])
    clock = Clock(now_ms, time.monotonic())
    deliveries = [_delivery(unit, row[0]) for unit, row in zip(units, rows, strict=True)]
    secrets = _secrets_of_owners(store, clock, deliveries, rows)
    builder = RequestBuilder(store, clock, secrets)
    built = [
        builder.build(unit, delivery, row)
        for unit, delivery, row in zip(units, deliveries, rows, strict=True)
    ]
    requests = [one for one in built if isinstance(one, DeliveryRequest)]
    return requests, [one for one in built if isinstance(one, Attempt)]


def _delivery(unit: Unit, fields: Sequence[str]) -> Delivery | None:
    return Delivery.read(unit.job, dict(zip(fields[::2], fields[1::2], strict=True)))


def _secrets_of_owners(
    store: Store, clock: Clock, deliveries: Sequence[Delivery | None], rows: Sequence[Any]
) -> dict[str, tuple[str, ...]]:
    """The secrets that sign the webhooks of single jobs, by owner."""
    pairs = zip(deliveries, rows, strict=True)
    kept = {one.owner: row[3] for one, row in pairs if one and one.endpoint == OF_JOB}
    return read_secrets(store, kept, clock.now_ms * 1000)


class RequestBuilder:
    """Builds the requests of one claim. secrets: those that sign webhooks of jobs, by owner."""

    def __init__(self, store: Store, clock: Clock, secrets: Mapping[str, Sequence[str]]) -> None:
        self._store = store
        self._clock = clock
        self._secrets = secrets

    def build(
        self, unit: Unit, delivery: Delivery | None, row: Sequence[Any]
    ) -> DeliveryRequest | Attempt:
        """The request, or the result of the delivery without an attempt."""
        if delivery is None:  # its record has gone since it was claimed
            return Attempt(unit, Result.FAILED, asked=False)
        _, endpoint, values, _, wait_ms = row
        try:
            return self._unless_postponed(self._request(unit, delivery, endpoint, values), wait_ms)
        except Undeliverable as reason:
            entry = {"status": None, "error": reason.code, "ms": 0}
            logged = _log_entry(self._clock, delivery, entry)
            return Attempt(unit, Result.FAILED, 0, logged, asked=False)

    def _request(
        self, unit: Unit, delivery: Delivery, endpoint: str, values: list[str | None]
    ) -> DeliveryRequest:
        job = Job.read(delivery.job, values)
        body = delivery.body.encode() if delivery.body else body_of(delivery, job)
        if delivery.endpoint == OF_JOB:
            url, secrets = _url_of_job(delivery, job), self._secrets[delivery.owner]
        else:
            url, secrets = self._url_and_secrets(delivery, endpoint)
        return DeliveryRequest(unit, delivery, body, url, secrets, self._clock, job)

    def _url_and_secrets(self, delivery: Delivery, text: str) -> tuple[str, Sequence[str]]:
        """Of a registered endpoint. text: its record in Redis, empty if it was deleted."""
        if not text:
            raise Undeliverable("endpoint_deleted")
        settings, now = self._store.settings, self._clock.now_ms * 1000
        found = Endpoint.read(settings, delivery.owner, delivery.endpoint, text, now)
        if not found.enabled:
            raise Undeliverable("endpoint_disabled")
        return found.url, found.secrets

    def _unless_postponed(
        self, request: DeliveryRequest, wait_ms: int
    ) -> DeliveryRequest | Attempt:
        """The request, or its postponement: its breaker is open, or no secret can be read.

        wait_ms: until the target's circuit breaker lets a request through; 0: now.

        Raises:
            Undeliverable: it has waited for longer than all its attempts would have taken.
        """
        if request.secrets and not wait_ms:
            return request
        max_age_s = sum(self._store.settings.webhook_schedule_s) + GRACE_S
        if self._clock.now_ms - request.delivery.created // 1000 > max_age_s * 1000:
            raise Undeliverable("endpoint_unavailable" if request.secrets else "secret_unreadable")
        return request.attempt(
            Result.POSTPONED, with_jitter(wait_ms if request.secrets else UNREADABLE_WAIT_MS)
        )


def body_of(delivery: Delivery, job: Job | None) -> bytes:
    """The event as JSON, the same at every call: a finished job never changes.

    Raises:
        Undeliverable: the job's record has expired.
    """
    if job is None:
        raise Undeliverable("job_expired")
    view = job_document(job)
    event = {"type": delivery.event, "timestamp": timestamp(job.finished), "data": view}
    body = orjson.dumps(event)
    if len(body) > MAX_BODY_BYTES:
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


def with_jitter(ms: float, low: float = 1.0, high: float = 1.1) -> int:
    """A wait of `low` to `high` times `ms`: what failed together is not retried together."""
    return int(ms * random.uniform(low, high))  # noqa: S311


def _log_entry(clock: Clock, delivery: Delivery, entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of the delivery's log, with its time and what triggered the attempt."""
    trigger = {"trigger": delivery.trigger} if delivery.trigger else {}
    return {"at": timestamp(clock.ms * 1000), **entry, **trigger}
