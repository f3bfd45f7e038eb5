"""Serve the API: `python -m app`."""

from __future__ import annotations

import resource
import sys

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings

from app.middleware.concurrency_limit import SPARE_THREADS
from tasks.config.settings import Settings, SettingsError
from tasks.telemetry.metrics.multiprocess import open_metrics_folder

STOP_S = 20  # then open requests are cut off, well before the supervisor's grace of 30 s ends
OTHER_FILES = 256  # files that a web process has open beside its clients' connections
BACKLOG = 1024  # connections that the kernel holds until a process takes them


def main() -> int:
    """Run the server until it is stopped; returns the exit status."""
    try:
        settings = Settings.from_env()
        open_metrics_folder(settings, "web")
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    Granian(
        "app.server.process:app",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            header_read_timeout=settings.header_timeout_s * 1000,
            max_buffer_size=settings.max_header_bytes,
        ),
        websockets=False,
        workers=settings.web_workers,
        blocking_threads=settings.web_threads + SPARE_THREADS,
        backlog=BACKLOG,
        backpressure=_connections(settings.max_connections),
        respawn_failed_workers=True,
        workers_kill_timeout=STOP_S,
    ).serve()
    return 0


def _connections(wanted: int) -> int:
    """Raise the limit of open files; returns how many connections it allows, at most `wanted`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + OTHER_FILES
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return max(1, allowed - OTHER_FILES)


if __name__ == "__main__":
    sys.exit(main())
