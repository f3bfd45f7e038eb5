"""Serve the API: `python -m app`."""

from __future__ import annotations

import sys

from granian import Granian
from granian.constants import HTTPModes, Interfaces

from tasks.settings import Settings, SettingsError

STOP_S = 20  # an open long-poll must not outlast the supervisor's grace of 30 s; its job goes on


def main() -> int:
    try:
        settings = Settings.from_env()
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    Granian(
        "app.served:app",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        websockets=False,
        workers=settings.web_workers,
        blocking_threads=settings.web_threads,
        respawn_failed_workers=True,
        workers_kill_timeout=STOP_S,
    ).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
