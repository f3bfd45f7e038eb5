"""A worker's side of a lane: claim units, renew their leases, commit their outcomes."""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import orjson

from tasks.jobs.finished import FinishedJob
from tasks.jobs.lanes import Lane
from tasks.queue.counters import UnitCounters, lines
from tasks.queue.units import SettledUnit, Unit
from tasks.store import keys
from tasks.store.client import Store
from tasks.store.scripts.queue import (
    CLAIM,
    COMMIT,
    DEREGISTER,
    RELEASE,
    RENEW,
    CachedAnswer,
    ClaimArgs,
    CommitArgs,
    CommitUnit,
    DeregisterArgs,
    ReleaseArgs,
    ReleasedUnit,
    RenewArgs,
    RenewedUnit,
)
from tasks.store.series import NONE, series_key
from tasks.telemetry.metrics.process import process_metrics


@dataclass(frozen=True, slots=True)
class Claim:
    """The result of a claim.

    waiting: units left in the lane. breakers: states of the circuit breakers that have failures, by
    name (see `tasks.queue.circuit_breakers`). ended: jobs that the claim itself finished: expired,
    or out of attempts.
    """

    units: Sequence[Unit]
    waiting: int
    breakers: Mapping[str, str]
    ended: Sequence[FinishedJob] = ()


@dataclass(frozen=True, slots=True)
class CommitResult:
    """The result of a commit.

    stale: units that had been lost to another worker. wake: lanes that need a wake-up. ended: jobs
    that the commit finished.
    """

    stale: int
    wake: Sequence[Lane]
    ended: Sequence[FinishedJob] = ()


class Consumer:
    """One worker process as a consumer of one lane.

    Thread-safe: the maintenance thread renews leases while others claim and commit.
    """

    def __init__(self, store: Store, lane: Lane) -> None:
        self.store = store
        self.lane = lane
        self.name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self._held: dict[str, Unit] = {}
        self._lock = threading.Lock()
        self._claim_s = process_metrics().claim.labels(lane)
        self._commit_s = process_metrics().commit.labels(lane)

    def claim(self, most_items: int, awake_ms: int, suspects: bool = True) -> Claim:
        """Lease units of up to `most_items` items, or one suspect alone if `suspects` are allowed.

        awake_ms: within which this worker claims again, so it needs no wake-up; 0: it sleeps.
        """
        settings = self.store.settings
        args = ClaimArgs(
            lane=self.lane,
            consumer=self.name,
            most_items=most_items,
            lease_ms=settings.lease_ms,
            most_attempts=settings.max_attempts,
            result_ttl_ms=settings.result_ttl_s * 1000,
            awake_ms=awake_ms,
            most_dead=settings.max_dead,
            suspects=int(suspects),
        )
        with self._claim_s.time():
            raw, waiting, breakers, more, ended = self.store.run(CLAIM, args)
        while more and not raw:  # so far it found only units of finished jobs, and dropped them
            raw, waiting, breakers, more, also = self.store.run(CLAIM, args)
            ended += also
        units = [Unit.read(unit) for unit in raw]
        with self._lock:
            self._held.update((unit.entry, unit) for unit in units)
        states = dict(zip(breakers[::2], breakers[1::2], strict=True))
        return Claim(units, waiting, states, [FinishedJob.read(raw) for raw in ended])

    def wait_for_wakeup(self, seconds: float) -> bool:
        """Wait until units are added to this lane; False if there were none in time."""
        seconds = max(seconds, 0.002)  # Redis 6 takes a timeout of a millisecond as none at all
        return self.store.redis.blpop([keys.wakeup_list(self.lane)], timeout=seconds) is not None

    def commit(
        self, batch: Sequence[SettledUnit], spent: Mapping[str, int] | None = None
    ) -> CommitResult:
        """Store outcomes. spent: device time by series, microseconds (`tasks.queue.counters`)."""
        settings = self.store.settings
        args = CommitArgs(
            lane=self.lane,
            consumer=self.name,
            lease_ms=settings.lease_ms,
            result_ttl_ms=settings.result_ttl_s * 1000,
            cache_ttl_ms=settings.cache_ttl_s * 1000,
            unit_count=len(batch),
            device_counts=lines(spent or {}),
        )
        rows: list[CommitUnit | CachedAnswer] = [
            *map(_commit_unit, batch),
            *chain.from_iterable(map(_cached_answers, batch)),
        ]
        with self._commit_s.time():
            stale, wake, ended = self.store.run(COMMIT, args, rows)
        self.forget(settled.unit for settled in batch)
        return CommitResult(stale, [Lane(lane) for lane in wake], _read_ended(ended, batch))

    def release(self, units: Sequence[Unit]) -> None:
        """Give units back that were not run, so that another worker can claim them at once."""
        args = ReleaseArgs(self.lane, self.name, self.store.settings.lease_ms)
        rows = (ReleasedUnit(u.stream, u.entry, u.job, u.number, u.attempt) for u in units)
        self.store.run(RELEASE, args, rows)
        self.forget(units)

    def drop_leases(self) -> int:
        """Stop renewing all held leases, so that they run out; returns the number of units."""
        with self._lock:
            held = len(self._held)
            self._held.clear()
        return held

    def renew(self) -> list[str]:
        """Send a heartbeat and renew held leases; returns lost entries."""
        with self._lock:
            held = list(self._held.values())
        args = RenewArgs(self.lane, self.name, self.store.settings.lease_ms)
        rows = (RenewedUnit(unit.stream, unit.entry) for unit in held)
        lost: list[str] = self.store.run(RENEW, args, rows)
        return lost

    def deregister(self) -> None:
        """Remove this worker from the lane's list of workers, when its process stops cleanly."""
        self.store.run(DEREGISTER, DeregisterArgs(self.lane, self.name))

    def forget(self, units: Iterable[Unit]) -> None:
        """Stop renewing the leases of units that were committed or released."""
        with self._lock:
            for unit in units:
                self._held.pop(unit.entry, None)


def _read_ended(
    ended: Sequence[Sequence[str | None]], batch: Sequence[SettledUnit]
) -> list[FinishedJob]:
    alone = {s.unit.job: s.outcomes[0] for s in batch if len(s.outcomes) == 1}
    return [FinishedJob.read(raw, alone) for raw in ended]


def _commit_unit(settled: SettledUnit) -> CommitUnit:
    unit, escalation = settled.unit, settled.escalation
    counters = settled.counters or UnitCounters(series_key(unit.payload.pipeline, NONE, NONE))
    return CommitUnit(
        stream=unit.stream,
        entry=unit.entry,
        job=unit.job,
        unit=unit.number,
        attempt=unit.attempt,
        items=unit.items,
        payload_bytes=unit.bytes,
        failed=settled.failed,
        outcomes=orjson.dumps(settled.outcomes),
        cached=int(settled.cached),
        from_cache=counters.from_cache,
        device_us=counters.device_us,
        answered=counters.answered,
        counts=counters.counts,
        gpu_payload=escalation.payload.dump() if escalation else b"",
        gpu_items=escalation.left if escalation else 0,
        gpu_breaker=escalation.breaker if escalation else "",
    )


def _cached_answers(settled: SettledUnit) -> Iterator[CachedAnswer]:
    for key, outcome in settled.answers.items():
        yield CachedAnswer(key, orjson.dumps([outcome]))
