"""Sentry events of a worker process: it cannot start, lost its device, hangs or crashed."""

from __future__ import annotations

import signal
from collections.abc import Mapping

from tasks.telemetry.sentry import client as sentry
from tasks.telemetry.sentry.client import EventDetails


def device_lost(error: BaseException) -> None:
    """Report an unusable device; the process ends after this.

    The driver's text is kept: it quotes no input.
    """
    sentry.capture_error(error, ("device", type(error).__name__), EventDetails())
    sentry.flush()


def cannot_start(error: BaseException) -> None:
    """Report a failed start; the process ends after this.

    The text is kept: nothing was claimed yet, so it can quote no input.
    """
    sentry.capture_error(error, ("start", type(error).__name__), EventDetails())
    sentry.flush()


def hung(what: str, limit_s: float, tags: Mapping[str, str]) -> None:
    """Report a hang, with the stack of every thread; the process is killed after this."""
    text = f"{what} went on for more than {limit_s:g} s; its process is ended"
    kind = ("hung", tags.get("pipeline", ""))
    sentry.capture_message("HungModel", text, kind, EventDetails(tags), stacks=True)
    sentry.flush()


def no_heartbeat(pid: int, tags: Mapping[str, str]) -> None:
    """Report a child in which not even a Python thread can run. Called by its parent."""
    text = "no Python thread can run in a worker child, as if C code kept the GIL; it is ended"
    kind = ("hung", tags.get("pipeline", ""))
    sentry.capture_message("HungProcess", text, kind, EventDetails(tags, extra={"pid": pid}))


def crashed(pid: int, exit_code: int, tags: Mapping[str, str]) -> None:
    """Report a child that ended without reporting an error itself. Called by its parent."""
    how = _how(exit_code)
    kind = ("crash", tags.get("pipeline", ""), how)
    details = EventDetails(tags, extra={"pid": pid})
    sentry.capture_message("WorkerCrash", f"a worker child {how}", kind, details)


def _how(exit_code: int) -> str:
    if exit_code >= 0:
        return f"ended with status {exit_code}"
    try:
        return f"was killed by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"was killed by signal {-exit_code}"
