"""Payload of a unit: what a worker needs to run it, as submit writes it and workers read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from tasks.store.scripts.jobs import SubmitUnit


@dataclass(frozen=True, slots=True)
class Payload:
    """What a worker needs to run a unit without reading its job's record.

    inputs: the valid ones. rejected: of an upload that goes on without the others, what was wrong
    with those, by their index in the unit. traceparent: the W3C trace context of its job. known:
    answers that another lane gave to some of the inputs, by their index among these.

    As JSON it is a list of these fields; empty ones at its end are left out.
    """

    pipeline: str
    options: Mapping[str, Any]
    inputs: Sequence[Mapping[str, Any]]
    request_id: str | None = None
    rejected: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    traceparent: str | None = None
    known: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def dump(self) -> bytes:
        """As JSON."""
        whole: tuple[Any, ...] = (self.pipeline, self.options, self.inputs, self.request_id)
        more: tuple[Any, ...] = (self.rejected, self.traceparent, self.known)
        while more and not more[-1]:
            more = more[:-1]
        return orjson.dumps(whole + more)

    @classmethod
    def load(cls, text: str | bytes) -> Payload:
        """Read from JSON."""
        return cls(*orjson.loads(text))


def split_into_units(payload: Payload, unit_items: int) -> Iterator[Payload]:
    """Cut a job's inputs into units of at most `unit_items`, in input order."""
    for start in range(0, len(payload.inputs), unit_items):
        yield replace(payload, inputs=payload.inputs[start : start + unit_items])


def submit_unit(payload: Payload) -> SubmitUnit:
    """The unit as submit.lua takes it, with its payload as JSON."""
    text = payload.dump()
    return SubmitUnit(len(payload.inputs) + len(payload.rejected), len(text), text)
