"""Starts Flower: `python -m tasks.telemetry.flower`. Its password is never on a command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from flower.views.monitor import Metrics
from tornado.web import authenticated

from tasks.celery import make_celery
from tasks.config.settings import Settings, SettingsError

MOST_TASKS = 20_000  # the latest ones, kept in memory; so many take 100 MB
FORGET_WORKER_S = 3_600  # pods come and go, and a stopped web process looks like a lost worker


def main() -> int:
    """Run Flower; returns the exit status."""
    try:
        settings = Settings.from_env()
        os.environ.update(options(settings, credentials(os.environ)))
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    Metrics.get = authenticated(Metrics.get)  # Flower itself serves them without a password
    return make_celery(settings).start(["flower"])


def credentials(env: Mapping[str, str]) -> str:
    """`user:password` for Flower's basic authentication.

    Raises:
        SettingsError: one is missing, or has characters that Flower would misread.
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
    """Flower's options as environment variables, which override those already set."""
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
