"""Units on the worker's side: as claimed from a lane, and as settled with their outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.jobs.payload import Payload
from tasks.queue.counters import UnitCounters


@dataclass(frozen=True, slots=True)
class Unit:
    """A claimed unit: its stream entry, its payload, and the attempt that fences its commit.

    bytes: of the payload as it stands in the lane. reason: why another lane did not serve it.
    """

    stream: str
    entry: str
    job: str
    number: int
    attempt: int
    items: int
    payload: Payload
    bytes: int = 0
    reason: str | None = None

    @property
    def suspect(self) -> bool:
        """Whether a worker died or hung while it held the unit, which may be the unit's fault."""
        return self.attempt > 1

    @classmethod
    def read(cls, raw: Sequence[Any]) -> Unit:
        """From a reply of claim.lua."""
        stream, entry, job, number, attempt, items, payload, size, reason = raw
        return cls(
            stream,
            entry,
            job,
            int(number),
            int(attempt),
            int(items),
            Payload.load(payload),
            int(size),
            reason or None,
        )


@dataclass(frozen=True, slots=True)
class Escalation:
    """A unit that the gpu lane should finish, if it has a worker and `breaker` is not open.

    payload: with the answers that stay. breaker: of the pipeline's best tier.
    """

    payload: Payload
    breaker: str

    @property
    def left(self) -> int:
        """Items that have no answer yet."""
        return len(self.payload.inputs) - len(self.payload.known)


@dataclass(frozen=True, slots=True)
class SettledUnit:
    """A unit with one outcome per item, in input order, ready to be committed.

    answers: what to put into the result cache. cached: all its answers came from there. counters:
    None if it went to no pipeline. escalation: tried first; the outcomes are committed if the gpu
    lane cannot take the unit.
    """

    unit: Unit
    outcomes: Sequence[Mapping[str, Any]]  # {"output": ..., "error": ...}
    answers: Mapping[str, Mapping[str, Any]]  # cache key -> outcome
    cached: bool = False
    counters: UnitCounters | None = None
    escalation: Escalation | None = None

    @property
    def failed(self) -> int:
        """Number of items with an error."""
        return sum(outcome["error"] is not None for outcome in self.outcomes)
