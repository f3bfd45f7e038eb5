"""A repository of stand-ins with an instance of its own, run from outside as a person would."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import psutil
import redis

from deploy.local import dev_env, processes
from deploy.local.processes import Member
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
STUB = f"python {ROOT}/tests/deploy/stub_process.py"
PROCESSES = ["supervisor", "redis", "web", "gpu-worker", "flower"]
PATIENCE_S = 60
"""Far more than anything here takes: it ends a test that hangs, it decides none."""

T = TypeVar("T")


def eventually(condition: Callable[[], T]) -> T:
    """Return the condition's first true value."""
    deadline = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{condition} did not become true"
        time.sleep(0.02)
    return value


class Installation:
    """A repository of stand-ins with an instance of its own."""

    def __init__(self, root: Path, var: Path) -> None:
        self.root, self.var = root, var
        self.web_port, self.flower_port, self.redis_port = (free_port() for _ in range(3))
        self.procfile(f"web: {STUB} web", f"gpu-worker: {STUB} worker", f"flower: {STUB} flower")
        self.env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "PENSTOCK_VAR": str(var),
            "PENSTOCK_PORT": str(self.web_port),
            "FLOWER_PORT": str(self.flower_port),
            "REDIS_PORT": str(self.redis_port),
        }

    def procfile(self, *lines: str) -> None:
        (self.root / "Procfile").write_text("\n".join(lines) + "\n")

    def start(self, command: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "deploy.local", command],
            cwd=self.root,
            env=self.env | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: str, **env: str) -> tuple[int, str]:
        """Run a command to its end; return its status and what it printed."""
        process = self.start(command, **env)
        output, _ = process.communicate(timeout=2 * PATIENCE_S)
        return process.returncode, output

    @contextmanager
    def foreground(self) -> Iterator[tuple[subprocess.Popen[str], Iterator[str]]]:
        """Run `up` in the foreground; give it and the lines it prints."""
        with self.start("up") as up:
            assert up.stdout is not None
            try:
                yield up, iter(up.stdout.readline, "")
            finally:
                up.kill()

    def up(self, **env: str) -> tuple[int, str]:
        """Start it detached; wait for the worker's child too, for which readiness does not."""
        before = self.events().count("parent started")
        status, output = self.run("up", DETACH="1", **env)
        if status == 0:
            eventually(lambda: self.events().count("parent started") > before)
        return status, output

    def down(self) -> tuple[int, str]:
        return self.run("down")

    def members(self, program: str | None = None) -> list[Member]:
        found = processes.members(self.var)
        return [member for member in found if program in (None, member.program)]

    def supervisor(self) -> psutil.Process:
        # A child that it just forked still has its environment: the oldest is itself.
        found = (member.process for member in self.members("supervisor"))
        return min(found, key=psutil.Process.create_time)

    def started(self, program: str) -> psutil.Process | None:
        """The program's process that the supervisor started, unless it is dead."""
        children = {child.pid for child in self.supervisor().children()}
        found = (m.process for m in self.members(program) if m.process.pid in children)
        return next(found, None)

    def keys(self) -> dict[str, str]:
        return dev_env.read(self.var / "dev.env")

    def events(self) -> list[str]:
        events = self.var / "events"
        return events.read_text().splitlines() if events.exists() else []

    def redis(self) -> redis.Redis:
        password = self.keys()["REDIS_PASSWORD"]
        return redis.Redis(port=self.redis_port, password=password, decode_responses=True)
