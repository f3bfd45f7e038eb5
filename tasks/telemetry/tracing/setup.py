"""Starts tracing in a process, if there is an OTLP endpoint to send spans to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.config.settings import Settings

if TYPE_CHECKING:
    from tasks.telemetry.tracing.tracer import Tracer


def start_tracing(settings: Settings, role: str, instance: str) -> Tracer | None:
    """Return the process's tracer, or None without an endpoint. Call it once, after the fork.

    role: web or a lane. instance: this process among all of its role.
    """
    if not settings.otlp_endpoint:
        return None
    from tasks.telemetry.tracing.tracer import Tracer  # noqa: PLC0415 - costs a third of a second

    return Tracer(settings.otlp_endpoint, role, instance, settings.traces_per_s)
