"""Sentry events that any process may send: Redis failed, or an unexpected error was caught."""

from __future__ import annotations

from redis import RedisError

from tasks.telemetry.sentry import client as sentry
from tasks.telemetry.sentry.client import EventDetails


def redis_failed(error: RedisError) -> None:
    """Report an outage of Redis: one event, however often the outage is met."""
    sentry.capture_error(error, ("redis", type(error).__name__), EventDetails(), lasting=True)


def unexpected(error: BaseException, where: str, **tags: str) -> None:
    """Report an error that nothing handles. where: the thread or component that caught it."""
    kind = ("unexpected", where, type(error).__name__)
    sentry.capture_error(error, kind, EventDetails(tags, inputs=None))
