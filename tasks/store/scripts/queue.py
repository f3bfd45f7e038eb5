"""The scripts of tasks/lua/queue and their arguments; each Lua file explains what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Never

from tasks.store.scripts.script import Script


class ClaimArgs(NamedTuple):
    """Arguments of claim.lua."""

    lane: str
    consumer: str
    most_items: int
    lease_ms: int
    most_attempts: int
    result_ttl_ms: int
    awake_ms: int
    most_dead: int
    suspects: int


class RenewArgs(NamedTuple):
    """Arguments of renew.lua."""

    lane: str
    consumer: str
    lease_ms: int


class RenewedUnit(NamedTuple):
    """A unit as renew.lua takes it."""

    stream: str
    entry: str


class CommitArgs(NamedTuple):
    """Arguments of commit.lua."""

    lane: str
    consumer: str
    lease_ms: int
    result_ttl_ms: int
    cache_ttl_ms: int
    unit_count: int
    device_counts: str


class CommitUnit(NamedTuple):
    """A unit as commit.lua takes it."""

    stream: str
    entry: str
    job: str
    unit: int
    attempt: int
    items: int
    payload_bytes: int
    failed: int
    outcomes: bytes
    cached: int
    from_cache: int
    device_us: int
    answered: str
    counts: str
    gpu_payload: bytes
    gpu_items: int
    gpu_breaker: str


class CachedAnswer(NamedTuple):
    """An answer that commit.lua puts into the result cache."""

    cache_key: str
    outcomes: bytes


class ReleaseArgs(NamedTuple):
    """Arguments of release.lua."""

    lane: str
    consumer: str
    lease_ms: int


class ReleasedUnit(NamedTuple):
    """A unit as release.lua takes it."""

    stream: str
    entry: str
    job: str
    unit: int
    attempt: int


class SweepArgs(NamedTuple):
    """Arguments of sweep.lua, before the names of the lanes."""

    caller: str
    interval_ms: int
    lease_ms: int
    result_ttl_ms: int
    gpu_patience_ms: int


class DeregisterArgs(NamedTuple):
    """Arguments of deregister.lua."""

    lane: str
    consumer: str


class BreakerRecordArgs(NamedTuple):
    """Arguments of breaker_record.lua."""

    name: str
    answered: int
    threshold: int
    cool_down_ms: int


class BreakerProbeArgs(NamedTuple):
    """Arguments of breaker_probe.lua."""

    name: str
    cool_down_ms: int


CLAIM = Script[ClaimArgs, Never]("queue/claim", ClaimArgs)
RENEW = Script[RenewArgs, RenewedUnit]("queue/renew", RenewArgs, RenewedUnit)
COMMIT = Script[CommitArgs, CommitUnit | CachedAnswer](
    "queue/commit", CommitArgs, CommitUnit, CachedAnswer
)
RELEASE = Script[ReleaseArgs, ReleasedUnit]("queue/release", ReleaseArgs, ReleasedUnit)
SWEEP = Script[SweepArgs, Sequence[str]]("queue/sweep", SweepArgs)
DEREGISTER = Script[DeregisterArgs, Never]("queue/deregister", DeregisterArgs)
BREAKER_RECORD = Script[BreakerRecordArgs, Never]("queue/breaker_record", BreakerRecordArgs)
BREAKER_PROBE = Script[BreakerProbeArgs, Never]("queue/breaker_probe", BreakerProbeArgs)
