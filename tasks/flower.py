"""Flower: `python -m tasks.flower`. Its password never stands on a command line for `ps`."""

from __future__ import annotations

import os
import sys

from tasks.celery import make_celery
from tasks.settings import Settings, SettingsError


def main() -> int:
    try:
        settings = Settings.from_env()
        user, password = os.environ["FLOWER_USER"], os.environ["FLOWER_PASSWORD"]
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    except KeyError as error:
        print(f"{error.args[0]} is not set: it is required and has no default.", file=sys.stderr)  # noqa: T201
        return 2
    os.environ["FLOWER_BASIC_AUTH"] = f"{user}:{password}"  # Flower reads FLOWER_* as its options
    address = f"--address={settings.host}"
    return make_celery(settings).start(["flower", address, f"--port={settings.flower_port}"])


if __name__ == "__main__":
    sys.exit(main())
