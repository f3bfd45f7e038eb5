"""Serve the API: `python -m app`."""

from __future__ import annotations

import sys

from granian import Granian
from granian.constants import HTTPModes, Interfaces

from tasks.settings import Settings, SettingsError


def main() -> int:
    try:
        settings = Settings.from_env()
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    Granian(
        "app.wsgi:app",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        websockets=False,
        workers=settings.web_workers,
        blocking_threads=settings.web_threads,
        respawn_failed_workers=True,
        workers_kill_timeout=settings.max_wait_s,
    ).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
