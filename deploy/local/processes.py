"""Finds the processes of an instance by a mark in their environment, and stops them in order.

Every process that `up` starts, and every child of one, carries `MARK=<PENSTOCK_VAR>` in its
environment. Unlike a pid file the mark cannot be stale, cannot name an unrelated process after
a reboot, and still finds every process when the supervisor itself was killed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from deploy.local.errors import RunnerError
from deploy.local.supervisor_conf import GRACE_S

MARK = "PENSTOCK_INSTANCE"

_KILLED_S = 10
"""Seconds to wait for a killed process to end."""
_POLL_S = 0.1


@dataclass(frozen=True)
class Member:
    """A process of an instance. psutil knows a process by its start time too, not its pid alone."""

    process: psutil.Process
    program: str
    """Its name in the Procfile, `redis` or `supervisor`; a child has the name of its parent, and
    so has for a moment one that the supervisor just forked."""

    def __str__(self) -> str:
        return f"{self.program} (pid {self.process.pid})"


def members(var: Path) -> list[Member]:
    """Return the living processes of the instance in the folder `var`."""
    return list(_scan(var))


def stop(var: Path) -> None:
    """End every process of the instance: the supervisor first, which stops its own in order.

    Processes left behind by a killed supervisor are stopped in the same order: Redis last.

    Raises:
        RunnerError: some processes outlived SIGKILL; they are named.
    """
    # Supervisor gives its two groups their grace one after the other.
    _end(lambda: _of(var, lambda m: m.program == "supervisor"), grace_s=2 * GRACE_S + _KILLED_S)
    _end(lambda: _of(var, lambda m: m.program != "redis"), grace_s=GRACE_S)
    _end(lambda: members(var), grace_s=GRACE_S)
    if left := members(var):
        raise RunnerError(f"Still running after SIGKILL: {', '.join(map(str, left))}.")


def kill(var: Path) -> None:
    """End every process of the instance at once; Redis keeps what it acknowledged."""
    # A living supervisor would start the others again.
    _killed(lambda: _of(var, lambda m: m.program == "supervisor"))
    _killed(lambda: members(var))


def _scan(var: Path) -> Iterator[Member]:
    for process in psutil.process_iter():
        try:
            env = process.environ()
        except psutil.Error:  # ended meanwhile, is a zombie, or is another user's
            continue
        if env.get(MARK) == str(var):
            yield Member(process, env.get("SUPERVISOR_PROCESS_NAME", "supervisor"))


def _of(var: Path, wanted: Callable[[Member], bool]) -> list[Member]:
    return [member for member in members(var) if wanted(member)]


def _end(find: Callable[[], list[Member]], *, grace_s: float) -> None:
    """Send SIGTERM to what `find` returns; kill the processes that outlive the grace period."""
    _each(_parents(find()), psutil.Process.terminate)
    if not _gone(find, grace_s):
        _killed(find)


def _killed(find: Callable[[], list[Member]]) -> None:
    """Kill what `find` returns, and again if there are new ones: one may just have forked."""

    def kill_found() -> list[Member]:
        found = find()
        _each(found, psutil.Process.kill)
        return found

    _gone(kill_found, _KILLED_S)


def _parents(found: Iterable[Member]) -> list[Member]:
    """Leave out processes whose parent is among them: the parent stops its own children."""
    found = list(found)
    pids = {member.process.pid for member in found}
    return [member for member in found if _parent_pid(member) not in pids]


def _parent_pid(member: Member) -> int | None:
    try:
        return member.process.ppid()
    except psutil.NoSuchProcess:
        return None


def _each(found: Iterable[Member], act: Callable[[psutil.Process], None]) -> None:
    for member in found:
        try:
            act(member.process)
        except psutil.NoSuchProcess:
            continue


def _gone(find: Callable[[], list[Member]], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    empty_looks = 0
    # A process in the middle of exec shows no environment, so one empty look proves nothing.
    while empty_looks < 2:
        found = find()
        empty_looks = 0 if found else empty_looks + 1
        if found and time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True
