"""Lanes, priorities and units: what waits where, as submit writes it and workers read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import orjson

from tasks.queue.counters import Tally


class Lane(StrEnum):
    GPU = "gpu"
    CPU = "cpu"
    WEBHOOKS = "webhooks"


class Priority(StrEnum):
    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Payload:
    """What a worker needs to run a unit without reading its job's record.

    inputs: the valid ones. rejected: of an upload that goes on without the others, what was wrong
    with those, by their place in the unit. traceparent: of its job, see
    `tasks.telemetry.tracing.context`. known: answers that another lane gave to some of the inputs,
    by their place among these.

    It is a list, and what stands last in it and is empty is left out.
    """

    pipeline: str
    options: Mapping[str, Any]
    inputs: Sequence[Mapping[str, Any]]
    request_id: str | None = None
    rejected: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    traceparent: str | None = None
    known: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def dump(self) -> bytes:
        whole: tuple[Any, ...] = (self.pipeline, self.options, self.inputs, self.request_id)
        more: tuple[Any, ...] = (self.rejected, self.traceparent, self.known)
        while more and not more[-1]:
            more = more[:-1]
        return orjson.dumps(whole + more)

    @classmethod
    def load(cls, text: str | bytes) -> Payload:
        return cls(*orjson.loads(text))


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
    def place(self) -> tuple[str, str, str, int, int]:
        """Where a script finds the unit and its fence."""
        return (self.stream, self.entry, self.job, self.number, self.attempt)

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
class Onward:
    """What the gpu lane is asked of a unit, while it has a worker and `breaker` is not open."""

    payload: Payload
    breaker: str

    @property
    def left(self) -> int:
        """Items that have no answer yet."""
        return len(self.payload.inputs) - len(self.payload.known)


@dataclass(frozen=True, slots=True)
class Settled:
    """A unit that was run: one outcome per item, in input order, and what may be cached of it.

    tally: what it adds to the counts; a unit that went to no pipeline has none. onward: where it
    goes instead, if it can; the outcomes are for when it cannot.
    """

    unit: Unit
    outcomes: Sequence[Mapping[str, Any]]  # {"output": ..., "error": ...}
    answers: Mapping[str, Mapping[str, Any]]  # cache key -> outcome
    cached: bool = False
    tally: Tally | None = None
    onward: Onward | None = None

    @property
    def failed(self) -> int:
        return sum(outcome["error"] is not None for outcome in self.outcomes)


def split(payload: Payload, unit_items: int) -> Iterator[Payload]:
    """Cut a job's inputs into units of at most `unit_items`, in input order."""
    for start in range(0, len(payload.inputs), unit_items):
        yield replace(payload, inputs=payload.inputs[start : start + unit_items])


@dataclass(frozen=True, slots=True)
class Entry:
    """A unit as submit.lua takes it. payload: JSON, empty if it was staged. size: its bytes."""

    items: int
    size: int
    payload: bytes

    @classmethod
    def of(cls, payload: Payload) -> Entry:
        text = payload.dump()
        return cls(len(payload.inputs) + len(payload.rejected), len(text), text)

    @property
    def args(self) -> tuple[int, int, bytes]:
        return (self.items, self.size, self.payload)
