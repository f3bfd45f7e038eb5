"""Reads a Procfile: a line per process, `name: command`."""

from __future__ import annotations

import re
from pathlib import Path

from deploy.local.errors import RunnerError

_LINE = re.compile(r"(?P<name>[A-Za-z0-9_-]+):\s*(?P<command>\S.*)")
_SPECIAL = frozenset(";#$|&<>`%")
"""Characters with a meaning to a shell, and `%`, which supervisord expands."""
RESERVED = frozenset({"redis", "supervisor"})


def read(path: Path) -> dict[str, str]:
    """Return process name -> command, in the file's order.

    Raises:
        RunnerError: there is no such file or a line in it cannot be run as it stands.
    """
    if not path.is_file():
        raise RunnerError(f"There is no {path}: run this from the root of the repository.")
    commands: dict[str, str] = {}
    for number, text in enumerate(path.read_text().splitlines(), start=1):
        line = text.strip()
        if line and not line.startswith("#"):
            name, command = _parse(line, f"{path}:{number}")
            if name in commands:
                raise RunnerError(f"{path}:{number}: there is already a process {name!r}.")
            commands[name] = command
    if not commands:
        raise RunnerError(f"{path} names no process.")
    return commands


def _parse(line: str, where: str) -> tuple[str, str]:
    match = _LINE.fullmatch(line)
    if match is None:
        raise RunnerError(f"{where}: {line!r} is not of the form 'name: command'.")
    name, command = match["name"], match["command"]
    if name in RESERVED:
        raise RunnerError(f"{where}: {name!r} is the name of one of the runner's own processes.")
    if wrong := sorted(_SPECIAL & set(command)):
        raise RunnerError(
            f"{where}: {' '.join(wrong)} is not allowed in a command: there is no shell to act on "
            "it. Have the program read its settings from the environment."
        )
    return name, command
