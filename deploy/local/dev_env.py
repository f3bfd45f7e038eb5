"""Reads and writes `var/dev.env`: the secrets and addresses of a development instance.

The first start makes it. Later starts keep the secrets and added lines, and update the addresses.
It is readable by a shell (`set -a; . var/dev.env`) as well as by `read`.
"""

from __future__ import annotations

import base64
import secrets
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

from deploy.local.errors import RunnerError
from deploy.local.private_files import write_private

_HEADER = """\
# Keys and addresses of this Penstock instance; made by `make up`, which keeps the secrets and
# your own lines and corrects the two URLs. To use it in a shell: set -a; . {path}; set +a
"""


def _key() -> str:
    return secrets.token_hex(32)


def _webhook_secret() -> str:
    # The form of https://www.standardwebhooks.com: the prefix, then base64 of 24 to 64 bytes.
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


SECRETS: Mapping[str, Callable[[], str]] = {
    "PENSTOCK_API_KEY": _key,
    "FLOWER_USER": lambda: "penstock",
    "FLOWER_PASSWORD": _key,
    "WEBHOOK_SECRET": _webhook_secret,
    "PENSTOCK_WEBHOOK_KEY": _key,
    "REDIS_PASSWORD": _key,
    "PENSTOCK_KEY_PEPPER": _key,
}


# Defaults of `make up`: webhooks may go to receivers on this machine.
DEVELOPMENT: Mapping[str, str] = {"PENSTOCK_WEBHOOK_HTTP_HOSTS": "localhost,127.0.0.1"}


def read(path: Path) -> dict[str, str]:
    """Return the file's variables; none if there is no file.

    Raises:
        RunnerError: a line is not `NAME=value`; the text has its number but not its content.
    """
    if not path.exists():
        return {}
    lines = enumerate(path.read_text().splitlines(), start=1)
    return dict(pair for n, line in lines for pair in _assignments(line, f"{path}:{n}"))


def secrets_of(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the secrets among `variables`; those that are missing are generated."""
    return {name: variables.get(name) or make() for name, make in SECRETS.items()}


def save(path: Path, variables: Mapping[str, str]) -> None:
    """Set `variables` in the file, each in its existing line, else in a new line at the end."""
    present = read(path)
    left = {name: value for name, value in variables.items() if present.get(name) != value}
    old = path.read_text() if path.exists() else _HEADER.format(path=shlex.quote(str(path)))
    lines = []
    for line in old.splitlines():
        name = line.strip().removeprefix("export ").partition("=")[0].strip()
        lines.append(f"{name}={left.pop(name)}" if name in left else line)
    lines += [f"{name}={value}" for name, value in left.items()]
    write_private(path, "\n".join(lines) + "\n")


def _assignments(line: str, where: str) -> list[tuple[str, str]]:
    try:
        words = [word for word in shlex.split(line, comments=True) if word != "export"]
    except ValueError as error:
        raise RunnerError(f"{where} cannot be read: {error}.") from None
    pairs = [word.partition("=") for word in words]
    if not all(equals and name.isidentifier() for name, equals, _ in pairs):
        raise RunnerError(f"{where} is not a line NAME=value (quote a value that has spaces).")
    return [(name, value) for name, _, value in pairs]
