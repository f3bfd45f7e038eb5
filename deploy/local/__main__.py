"""Entry point of the local runner: `python -m deploy.local up|down`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.local.down import down
from deploy.local.errors import RunnerError
from deploy.local.signals import interrupt_once
from deploy.local.up import up


def main(arguments: list[str], environ: Mapping[str, str]) -> int:
    """Run one command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    parser.add_argument("command", choices=["up", "down"])
    command = parser.parse_args(arguments).command
    os.umask(0o077)  # files written from here on hold keys or jobs
    interrupt_once()
    try:
        if command == "up":
            up(Path.cwd(), environ)
        else:
            down(environ)
    except RunnerError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
