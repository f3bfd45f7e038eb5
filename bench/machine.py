"""Describes the machine that a benchmark ran on."""

from __future__ import annotations

import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import psutil

from deploy.local.redis_server import find_server

PACKAGES = ("flask", "granian", "celery", "kombu", "redis", "hiredis", "marshmallow", "orjson")


def describe() -> dict[str, str]:
    """CPU, cores, memory, system, and the versions of everything that runs."""
    return {
        "cpu": _cpu_model(),
        "cores": str(psutil.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": platform.platform(),
        "python": platform.python_version(),
        "redis-server": _redis_version(),
        "packages": ", ".join(f"{name} {version(name)}" for name in PACKAGES),
    }


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.exists() else ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1] if found else platform.processor() or platform.machine()


def _redis_version() -> str:
    said = subprocess.run([find_server(), "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"v=(\S+)", said.stdout)
    return found[1] if found else said.stdout.strip()
