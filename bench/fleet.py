"""Starts the processes under test in a folder of their own, measures them and stops them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
GRACE_S = 20.0


class FleetError(Exception):
    """A process under test ended or did not become ready; the text has the end of its log."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Fleet:
    """Named processes, each with its log in `folder` and its own process group."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, role: str, command: Sequence[str], env: Mapping[str, str]) -> None:
        with self._log(role).open("wb") as log:
            self._running[role] = subprocess.Popen(
                command,
                cwd=ROOT,
                env=dict(env),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def pid(self, role: str) -> int:
        return self._running[role].pid

    def check(self) -> None:
        """Raise FleetError if any process has ended."""
        for role, process in self._running.items():
            if process.poll() is not None:
                raise FleetError(f"{role} ended with {process.returncode}:\n{self.tail(role)}")

    def tail(self, role: str) -> str:
        return self._log(role).read_text(errors="replace")[-3_000:]

    def cpu_us(self) -> dict[str, float]:
        """CPU microseconds used so far by each role: its processes and their ended children."""
        return {role: 1e6 * sum(map(_cpu_s, self._tree(role))) for role in self._running}

    def memory_bytes(self) -> dict[str, int]:
        """Memory of each role now: proportional set size, which counts shared pages once."""
        return {role: sum(map(_pss, self._tree(role))) for role in self._running}

    def stop(self, *roles: str) -> None:
        """End `roles` (default: all), last started first: SIGTERM, then SIGKILL to the group."""
        names = [role for role in reversed(self._running) if not roles or role in roles]
        stopping = {role: self._running.pop(role) for role in names}
        for process in stopping.values():
            _end(process)

    def _log(self, role: str) -> Path:
        return self._folder / f"{role}.log"

    def _tree(self, role: str) -> list[psutil.Process]:
        root = psutil.Process(self.pid(role))
        return [root, *root.children(recursive=True)]


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            print(f"process {process.pid} ignored SIGTERM for {GRACE_S} s: killed")
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # children that outlived it
    process.wait()


def _cpu_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    reaped: float = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return float(times.user + times.system + reaped)


def _pss(process: psutil.Process) -> int:
    try:
        memory = process.memory_full_info()
    except psutil.NoSuchProcess:
        return 0
    return int(getattr(memory, "pss", memory.uss))
