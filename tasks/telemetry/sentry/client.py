"""Sentry client: sends errors if SENTRY_DSN is set, throttled and scrubbed.

The SDK's own thread sends events from a bounded queue, so a receiver that is down or slow delays
nothing here; events that do not fit are dropped. That thread does not survive a fork, so a child
process installs the SDK again.
"""

from __future__ import annotations

import gc
import logging
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Final

import sentry_sdk
from redis import RedisError
from sentry_sdk.integrations import Integration
from sentry_sdk.integrations.atexit import AtexitIntegration
from sentry_sdk.integrations.dedupe import DedupeIntegration
from sentry_sdk.integrations.excepthook import ExcepthookIntegration
from sentry_sdk.integrations.logging import LoggingIntegration
from sentry_sdk.integrations.redis import RedisIntegration
from sentry_sdk.integrations.threading import ThreadingIntegration
from sentry_sdk.utils import event_from_exception, serialize_frame

from tasks.config.settings import Settings
from tasks.config.version import RELEASE
from tasks.telemetry.logs import get_logger
from tasks.telemetry.sentry.scrubber import Scrubber
from tasks.telemetry.sentry.throttle import Throttle

log = get_logger(__name__)

MOST_QUEUED: Final = 100  # events
FLUSH_S: Final = 2.0  # for which the end of a process waits until events are sent
MOST_FRAMES: Final = 100

_OURS = ("app.", "tasks.", "ml.")
_COUNTED = "penstock_counted"  # in a hint: the throttle was asked before the event was built
_INPUTS = "penstock_inputs"

_throttle = Throttle()


@dataclass(frozen=True, slots=True)
class EventDetails:
    """Details of a failure for its event.

    inputs: as for `tasks.telemetry.sentry.scrubber.Scrubber.event`; empty if no client's words can
    be in its text. parts: further members of the event.
    """

    tags: Mapping[str, str] = field(default_factory=dict)
    inputs: Iterable[str] | None = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    parts: Mapping[str, Any] = field(default_factory=dict)


def install(
    settings: Settings, component: str, *more: Integration, lane: str | None = None
) -> None:
    """Install the SDK; does nothing without SENTRY_DSN.

    component: which program this is. more: integrations beside those that every program has.
    """
    if not settings.sentry_dsn:
        return
    scrubber = Scrubber(settings)

    def before_send(event: Any, hint: dict[str, Any]) -> Any:
        error = (hint.get("exc_info") or (None, None))[1]
        if _COUNTED not in hint and not _may_send(event, error):
            return None
        inputs = hint.get(_INPUTS, () if isinstance(error, RedisError) else None)
        return scrubber.event(event, inputs)

    sentry_sdk.init(
        dsn=settings.sentry_dsn,
        release=RELEASE,
        environment=settings.sentry_environment,
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[*_common_integrations(), *more],
        before_send=before_send,
        before_breadcrumb=_breadcrumb,
        max_breadcrumbs=20,
        include_local_variables=False,
        max_request_body_size="never",
        # `send_default_pii` is off by default, and deprecated.
        auto_session_tracking=False,
        send_client_reports=False,
        enable_backpressure_handling=False,
        propagate_traces=False,
        transport_queue_size=MOST_QUEUED,
        shutdown_timeout=FLUSH_S,
        debug=False,
        spotlight=False,
    )
    scope = sentry_sdk.get_global_scope()
    scope.set_tag("component", component)
    if lane:
        scope.set_tag("lane", lane)


def _common_integrations() -> list[Integration]:
    return [
        AtexitIntegration(callback=lambda _pending, _timeout: None),
        DedupeIntegration(),
        ExcepthookIntegration(),
        LoggingIntegration(level=logging.WARNING, event_level=None, sentry_logs_level=None),
        RedisIntegration(),
        ThreadingIntegration(propagate_scope=False),
    ]


def capture_error(
    error: BaseException, kind: Sequence[str], about: EventDetails, lasting: bool = False
) -> None:
    """Send an error, once a minute for each `kind`. Never raises, never waits.

    lasting: as for `tasks.telemetry.sentry.throttle.Throttle.take`.
    """
    if (held_back := _ask_throttle(kind, lasting)) is not None:
        try:
            mechanism = {"type": "penstock", "handled": True}
            options = sentry_sdk.get_client().options
            event, hint = event_from_exception(error, options, mechanism)
            _send(event, hint, kind, about, held_back)
        except Exception as problem:
            log.warning("an error was not sent to Sentry", error=repr(problem))


def capture_message(
    title: str, text: str, kind: Sequence[str], about: EventDetails, stacks: bool = False
) -> None:
    """Send an event without an exception, as `capture_error` does.

    stacks: add the stack of every thread of this process.
    """
    if (held_back := _ask_throttle(kind, False)) is not None:
        try:
            error = {"type": title, "value": text}
            event: dict[str, Any] = {"level": "fatal", "exception": {"values": [error]}}
            if stacks:
                event["threads"] = {"values": _threads()}
            _send(event, {}, kind, about, held_back)
        except Exception as problem:
            log.warning("an error was not sent to Sentry", error=repr(problem))


def flush() -> None:
    """Wait until captured events are sent, for FLUSH_S at most."""
    sentry_sdk.flush(FLUSH_S)


def _ask_throttle(kind: Sequence[str], lasting: bool) -> int | None:
    return _throttle.take(tuple(kind), lasting) if sentry_sdk.is_initialized() else None


def _send(
    event: Any, hint: dict[str, Any], kind: Sequence[str], about: EventDetails, held_back: int
) -> None:
    event |= about.parts
    event["fingerprint"] = ["penstock", *kind]
    event["tags"] = {**about.tags, "failure": kind[0]}
    event["extra"] = {**about.extra, "held_back": held_back}
    sentry_sdk.capture_event(event, hint=hint | {_COUNTED: True, _INPUTS: about.inputs})


def _may_send(event: Any, error: BaseException | None) -> bool:
    """Whether to send an event that an integration made."""
    if isinstance(error, ConnectionError):  # a client that disconnected; Redis's class is another
        return False
    if isinstance(error, RedisError):
        return _throttle.take(("redis", type(error).__name__), lasting=True) is not None
    return _throttle.take(_location_of(event)) is not None


def _location_of(event: Any) -> tuple[str, ...]:
    """The type of the error and its innermost frame."""
    values = (event.get("exception") or {}).get("values") or [{}]
    frames = (values[-1].get("stacktrace") or {}).get("frames") or [{}]
    at = (frames[-1].get("module"), frames[-1].get("function"), frames[-1].get("lineno"))
    return ("place", str(values[-1].get("type")), *map(str, at))


def _breadcrumb(crumb: dict[str, Any], hint: dict[str, Any]) -> dict[str, Any] | None:
    """Keep names of commands, and our own log messages without fields, which may quote anything."""
    if record := hint.get("log_record"):
        if not record.name.startswith(_OURS):
            return None
        said = record.msg["event"] if isinstance(record.msg, dict) else record.msg
        kept = ("type", "category", "level", "timestamp")
        return {name: crumb[name] for name in kept if name in crumb} | {"message": str(said)}
    if crumb.get("category") == "redis":
        return {"type": "redis", "category": "redis", "message": _command_of(crumb)}
    return None


def _command_of(crumb: Mapping[str, Any]) -> str:
    return str(crumb.get("data", {}).get("redis.command", "pipeline"))


def _threads() -> list[dict[str, Any]]:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    own = threading.get_ident()
    return [
        {
            "id": ident,
            "name": names.get(ident),
            "current": ident == own,
            "stacktrace": {"frames": _frames(frame)},
        }
        for ident, frame in _current_frames().items()
    ]


def _current_frames() -> dict[int, FrameType]:
    """The current frame of each thread. A garbage collection meanwhile may deadlock CPython.

    https://github.com/python/cpython/issues/106883
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        return sys._current_frames()
    finally:
        if enabled:
            gc.enable()


def _frames(frame: FrameType | None) -> list[dict[str, Any]]:
    """Outermost first."""
    frames: list[dict[str, Any]] = []
    while frame and len(frames) < MOST_FRAMES:
        frames.append(serialize_frame(frame, include_local_variables=False))
        frame = frame.f_back
    return frames[::-1]
