"""Units on the worker's side: as claimed from a lane, and as given back with outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.jobs.payload import Payload
from tasks.queue.counters import UnitCounters


@dataclass(frozen=True, slots=True)
class Unit:
    """A claimed unit: where it stands in its lane, and the attempt that fences its commit."""

    stream: str
    entry: str
    job: str
    number: int
    attempt: int
    items: int
    payload: Payload
    bytes: int = 0  # of the payload as it stands in the lane
    reason: str | None = None  # why another lane did not serve it

    @property
    def suspect(self) -> bool:
        """Whether a worker fell silent while it held the unit; it may be the unit's fault."""
        return self.attempt > 1

    @classmethod
    def read(cls, raw: Sequence[Any]) -> Unit:
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
    """What the gpu lane is asked of a unit, while it has a worker and `breaker` is not open."""

    payload: Payload
    breaker: str

    @property
    def left(self) -> int:
        """Items that have no answer yet."""
        return len(self.payload.inputs) - len(self.payload.known)


@dataclass(frozen=True, slots=True)
class SettledUnit:
    """A unit that was run: one outcome per item, in input order, and what may be cached of it.

    tally: what it adds to the counts; a unit that went to no pipeline has none. onward: where it
    goes instead, if it can; the outcomes are for when it cannot.
    """

    unit: Unit
    outcomes: Sequence[Mapping[str, Any]]  # {"output": ..., "error": ...}
    answers: Mapping[str, Mapping[str, Any]]  # cache key -> outcome
    cached: bool = False
    counters: UnitCounters | None = None
    escalation: Escalation | None = None

    @property
    def failed(self) -> int:
        return sum(outcome["error"] is not None for outcome in self.outcomes)
