"""Submit: accept a job in one round trip, or answer it from the cache or an earlier request."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from ulid import ULID

from tasks.jobs.lanes import Lane, Priority
from tasks.jobs.model import Job, Spec, Status
from tasks.jobs.payload import Payload, split_into_units, submit_unit
from tasks.store import keys
from tasks.store.client import Store
from tasks.store.scripts.jobs import SUBMIT, SubmitArgs, SubmitUnit

RETRY_UNKNOWN_S = 5  # Retry-After while no drain rate has been measured
RETRY_MOST_S = 300  # longest Retry-After
ANSWER_BYTES = 512  # of Redis's memory set aside for each item that waits; moderation takes 300


class IdempotencyMismatch(Exception):
    """The idempotency key was used before, with another body."""


class Overloaded(Exception):
    """No lane has room for the job.

    reason: "full" (units or bytes), "late" (its deadline would pass first) or "memory" (Redis's).
    waiting: units ahead of it. retry_after_s: when to try again.
    """

    def __init__(self, reason: str, waiting: int, retry_after_s: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.waiting = waiting
        self.retry_after_s = retry_after_s


class QuotaExceeded(Exception):
    """The owner has as many unfinished items as it may. retry_after_s: when to try again."""

    def __init__(self, unfinished: int, most: int, retry_after_s: int) -> None:
        super().__init__(f"{unfinished} of {most} items are unfinished")
        self.unfinished = unfinished
        self.most = most
        self.retry_after_s = retry_after_s


class InFlight(Exception):
    """Another upload with this idempotency key has not ended."""


class Unstaged(Exception):
    """The staged units of the job have expired: its upload took too long."""


@dataclass(frozen=True, slots=True)
class Idempotency:
    """Digests of the client's idempotency key and of its request body."""

    key: str
    body: str


@dataclass(frozen=True, slots=True)
class Submission:
    """A validated request.

    lane: the lane to use; the cpu lane may have to take the job instead. breaker: of the pipeline's
    best tier.
    batch_items: items a worker claims at once. most_unfinished: items that the owner may have under
    way, this job's too. cache_key: None if answers are not reused.
    cpu_may_serve: whether the client accepts what the cpu lane can answer. staged: the units, if
    their payloads are in Redis already (`tasks.jobs.staged_upload`); `inputs` is empty then.
    """

    spec: Spec
    inputs: Sequence[Mapping[str, Any]]
    lane: Lane
    priority: Priority
    batch_items: int
    most_unfinished: int = 2**31
    breaker: str = ""
    deadline_ms: int | None = None
    idempotency: Idempotency | None = None
    cache_key: str | None = None
    cpu_may_serve: bool = False
    staged: Sequence[SubmitUnit] = ()

    @property
    def total(self) -> int:
        """Number of items."""
        return len(self.inputs) + sum(unit.items for unit in self.staged)

    def units(self) -> Iterator[SubmitUnit]:
        yield from self.staged
        if self.inputs:
            spec = self.spec
            payload = Payload(
                spec.pipeline,
                spec.options,
                self.inputs,
                spec.request_id,
                traceparent=spec.traceparent,
            )
            yield from map(submit_unit, split_into_units(payload, spec.unit_items))


@dataclass(frozen=True, slots=True)
class Receipt:
    """The result of a submission.

    job: None if an earlier request is replayed; its job must be read. lane: it must be woken
    `wake_ups` times.
    """

    job_id: str
    job: Job | None
    wake_ups: int = 0
    lane: Lane = Lane.GPU


def new_job_id() -> str:
    """A new job id, which sorts by time. It need not be secret: only its owner may read the job.

    So `random` will do: os.urandom releases the GIL, which under load costs ten times the call.
    """
    moment = (time.time_ns() // 1_000_000).to_bytes(6, "big")
    return f"job_{ULID(moment + random.getrandbits(80).to_bytes(10, 'big'))}"


def submit(store: Store, submission: Submission, job_id: str) -> Receipt:
    """Write record, idempotency record and units at once (submit.lua).

    Raises:
        IdempotencyMismatch: the key is taken by another body.
        InFlight: the key is taken by an upload under way.
        Unstaged: the upload must be sent again; nothing was accepted.
        QuotaExceeded: the owner has too many unfinished items; nothing was accepted.
        Overloaded: the lane holds too much; nothing was accepted.
        redis.RedisError: Redis cannot be reached, or its memory is full; nothing was accepted.
    """
    kind, *rest = store.run(
        SUBMIT,
        _args(store, submission, job_id),
        submission.units(),
        keys=_keys(submission, job_id),
    )
    if kind == "replay":
        return Receipt(rest[0], None)
    if kind == "mismatch":
        raise IdempotencyMismatch
    if kind == "in_flight":
        raise InFlight
    if kind == "unstaged":
        raise Unstaged
    if kind == "quota":
        unfinished, rate = rest[0], rest[1] / 1000
        raise QuotaExceeded(
            unfinished, submission.most_unfinished, _retry_after_s(unfinished, rate)
        )
    if kind in ("full", "late", "memory"):
        raise Overloaded(kind, rest[0], _retry_after_s(rest[0], rest[1] / 1000))
    created = int(rest[0])
    if kind == "hit":
        return Receipt(job_id, _answered(submission, job_id, created, rest[1]))
    lane = Lane(rest[2])
    return Receipt(job_id, _queued(submission, job_id, created, lane), int(rest[1]), lane)


def _keys(submission: Submission, job_id: str) -> list[str]:
    idempotency = submission.idempotency
    return [
        keys.job(job_id),
        keys.idempotency(submission.spec.owner, idempotency.key) if idempotency else "",
        submission.cache_key or "",
    ]


def _args(store: Store, submission: Submission, job_id: str) -> SubmitArgs:
    spec, settings = submission.spec, store.settings
    return SubmitArgs(
        job=job_id,
        asked_lane=submission.lane,
        spec=spec.dump(),
        total=submission.total,
        deadline_ms=submission.deadline_ms or 0,
        batch_items=1 if spec.bulk else submission.batch_items,
        body_digest=submission.idempotency.body if submission.idempotency else "",
        idempotency_ttl_ms=settings.idempotency_ttl_s * 1000,
        result_ttl_ms=settings.result_ttl_s * 1000,
        first_unit=1 if spec.bulk else 0,
        most_lane_units=settings.max_lane_units,
        cpu_may_serve=int(submission.cpu_may_serve),
        priority=submission.priority,
        lease_ms=settings.lease_ms,
        breaker_name=submission.breaker,
        most_lane_bytes=settings.max_lane_bytes,
        headroom_percent=settings.redis_headroom_percent,
        answer_bytes=ANSWER_BYTES,
        owner=spec.owner,
        most_unfinished=submission.most_unfinished,
        hook=spec.hook,
        staged=int(bool(submission.staged)),
    )


def _retry_after_s(waiting: int, units_per_s: float) -> int:
    """Seconds until a tenth of the waiting units will have drained, at the last measured rate."""
    if units_per_s <= 0:
        return RETRY_UNKNOWN_S
    return max(1, min(RETRY_MOST_S, math.ceil(waiting / 10 / units_per_s)))


def _queued(submission: Submission, job_id: str, created: int, lane: Lane) -> Job:
    return Job(
        id=job_id,
        spec=submission.spec,
        status=Status.QUEUED,
        lane=lane,
        created=created,
        total=submission.total,
    )


def _answered(submission: Submission, job_id: str, created: int, outcomes: str) -> Job:
    return Job(
        id=job_id,
        spec=submission.spec,
        status=Status.SUCCEEDED,
        lane=submission.lane,
        created=created,
        started=created,
        finished=created,
        total=1,
        done=1,
        cached=True,
        outcome=orjson.loads(outcomes)[0],
    )
