"""Sentry events of a batch: failures of models, with the jobs that they belong to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ml.serving.isolation import StopBisecting
from ml.serving.outcomes import Failure
from tasks.queue.units import Unit
from tasks.telemetry.sentry import client as sentry
from tasks.telemetry.sentry.client import EventDetails
from tasks.telemetry.sentry.scrubber import texts_of
from tasks.telemetry.tracing.context import trace_id

MAX_NAMED = 20  # jobs of a batch


def tags_of(units: Sequence[Unit]) -> dict[str, str]:
    """Sentry tags of a batch: job and request of a lone unit, else all jobs.

    Of several units any may have caused the failure.
    """
    tags = {"pipeline": ",".join(sorted({unit.payload.pipeline for unit in units}))}
    if len(units) != 1:
        return tags | {"jobs": " ".join(unit.job for unit in units[:MAX_NAMED])}
    tags |= {"job": units[0].job}
    payload = units[0].payload
    found = {"request_id": payload.request_id, "trace_id": trace_id(payload.traceparent)}
    return tags | {name: value for name, value in found.items() if value}


def models_failed(
    failures: Iterable[Failure],
    unit_of: Callable[[int], Unit],
    input_of: Callable[[int], Mapping[str, Any]],
) -> None:
    """Report one event per stage and type of error of a batch, with the first job that had it.

    unit_of, input_of: the unit and the input of the item with a given index in the batch.
    """
    kinds: dict[tuple[str, str], list[Failure]] = defaultdict(list)
    for failure in failures:
        kinds[failure.stage, type(_cause(failure.error)).__name__].append(failure)
    for (stage, name), alike in kinds.items():
        first = alike[0]
        tags = tags_of([unit_of(first.index)]) | {"stage": stage}
        kind = ("model", tags["pipeline"], stage, name)
        inputs, extra = texts_of(input_of(first.index)), {"items_failed": len(alike)}
        sentry.capture_error(_cause(first.error), kind, EventDetails(tags, inputs, extra))


def _cause(error: BaseException) -> BaseException:
    return error.__cause__ or error if isinstance(error, StopBisecting) else error
