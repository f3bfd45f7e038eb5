"""Flower: `python -m tasks.telemetry.flower`. Its password is never on a command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from flower.views.monitor import Metrics
from tornado.web import authenticated

from tasks.celery import make_celery
from tasks.config.settings import Settings, SettingsError

MOST_TASKS = 20_000  # kept, the latest ones; so many take 100 MB
FORGET_WORKER_S = 3_600  # pods come and go; a web process looks like a worker that did


def main() -> int:
    try:
        settings = Settings.from_env()
        os.environ.update(options(settings, credentials(os.environ)))
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    Metrics.get = authenticated(Metrics.get)  # Flower itself leaves them open
    return make_celery(settings).start(["flower"])


def credentials(env: Mapping[str, str]) -> str:
    """`user:password` as Flower compares it.

    Raises:
        SettingsError: one is missing, or Flower would read it as something else.
    """
    for name, forbidden in (("FLOWER_USER", ",:"), ("FLOWER_PASSWORD", ",")):
        value = env.get(name)
        if not value:
            raise SettingsError(f"{name} is not set: it is required and has no default.")
        if not value.isascii() or any(character in value for character in forbidden):
            listed = " or ".join(map(repr, forbidden))
            raise SettingsError(f"{name} is not valid: it must be ASCII without {listed}.")
    return f"{env['FLOWER_USER']}:{env['FLOWER_PASSWORD']}"


def options(settings: Settings, credentials: str) -> dict[str, str]:
    """Flower's options as it reads them from the environment, whatever else stands there."""
    return {
        "FLOWER_ADDRESS": settings.host,
        "FLOWER_PORT": str(settings.flower_port),
        "FLOWER_BASIC_AUTH": credentials,
        "FLOWER_READ_ONLY": str(settings.flower_read_only),
        "FLOWER_NATURAL_TIME": "True",
        "FLOWER_TASKS_COLUMNS": "name,uuid,state,args,result,received,runtime,worker",
        "FLOWER_MAX_TASKS": str(MOST_TASKS),
        "FLOWER_PURGE_OFFLINE_WORKERS": str(FORGET_WORKER_S),
    }


if __name__ == "__main__":
    sys.exit(main())
