"""What a worker tells Sentry: each kind of failure, with the job it belongs to if that is known."""

from __future__ import annotations

import signal
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from redis import RedisError

from ml.serving.isolation import StopBisecting
from ml.serving.outcomes import Failure
from tasks.jobs.lanes import Unit
from tasks.telemetry.sentry import client as sentry
from tasks.telemetry.sentry.client import About
from tasks.telemetry.sentry.scrubber import texts_of
from tasks.telemetry.tracing.context import trace_id

MOST_NAMED = 20  # jobs of a batch


def tags_of(units: Sequence[Unit]) -> dict[str, str]:
    """Of a lone unit its job and request; of several all jobs, as any may be the one to blame."""
    tags = {"pipeline": ",".join(sorted({unit.payload.pipeline for unit in units}))}
    if len(units) != 1:
        return tags | {"jobs": " ".join(unit.job for unit in units[:MOST_NAMED])}
    tags |= {"job": units[0].job}
    payload = units[0].payload
    found = {"request_id": payload.request_id, "trace_id": trace_id(payload.traceparent)}
    return tags | {name: value for name, value in found.items() if value}


def models_failed(
    failures: Iterable[Failure],
    unit_of: Callable[[int], Unit],
    input_of: Callable[[int], Mapping[str, Any]],
) -> None:
    """One event for each stage and type of error of a batch, with the first job that met it.

    unit_of, input_of: of the item at a failure's place.
    """
    kinds: dict[tuple[str, str], list[Failure]] = defaultdict(list)
    for failure in failures:
        kinds[failure.stage, type(_cause(failure.error)).__name__].append(failure)
    for (stage, name), alike in kinds.items():
        first = alike[0]
        tags = tags_of([unit_of(first.place)]) | {"stage": stage}
        kind = ("model", tags["pipeline"], stage, name)
        inputs, extra = texts_of(input_of(first.place)), {"items_failed": len(alike)}
        sentry.capture(_cause(first.error), kind, About(tags, inputs, extra))


def _cause(error: BaseException) -> BaseException:
    return error.__cause__ or error if isinstance(error, StopBisecting) else error


def redis_failed(error: RedisError) -> None:
    """One event for an outage, however often it is met with."""
    sentry.capture(error, ("redis", type(error).__name__), About(), lasting=True)


def unexpected(error: BaseException, where: str, **tags: str) -> None:
    kind = ("unexpected", where, type(error).__name__)
    sentry.capture(error, kind, About(tags, inputs=None))


def device_lost(error: BaseException) -> None:
    """The process is to end after this; what the driver says quotes no input."""
    sentry.capture(error, ("device", type(error).__name__), About())
    sentry.flush()


def cannot_start(error: BaseException) -> None:
    """Likewise, and nothing was claimed yet."""
    sentry.capture(error, ("start", type(error).__name__), About())
    sentry.flush()


def hung(what: str, limit_s: float, doing: Mapping[str, str]) -> None:
    """The process is to end after this, so where its threads are is told now or never."""
    text = f"{what} went on for more than {limit_s:g} s; its process is ended"
    kind = ("hung", doing.get("pipeline", ""))
    sentry.tell("HungModel", text, kind, About(doing), stacks=True)
    sentry.flush()


def no_pulse(pid: int, doing: Mapping[str, str]) -> None:
    """Told by the parent: in the child not even a Python thread can run."""
    text = "no Python thread can run in a worker child, as if C code kept the GIL; it is ended"
    kind = ("hung", doing.get("pipeline", ""))
    sentry.tell("HungProcess", text, kind, About(doing, extra={"pid": pid}))


def crashed(pid: int, exit_code: int, doing: Mapping[str, str]) -> None:
    """Told by the parent of a child that ended without saying why."""
    how = _how(exit_code)
    kind = ("crash", doing.get("pipeline", ""), how)
    about = About(doing, extra={"pid": pid})
    sentry.tell("WorkerCrash", f"a worker child {how}", kind, about)


def _how(exit_code: int) -> str:
    if exit_code >= 0:
        return f"ended with status {exit_code}"
    try:
        return f"was killed by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"was killed by signal {-exit_code}"
