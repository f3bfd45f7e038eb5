"""Heartbeats of pool children: a parent kills a child in which no Python thread can run.

Celery's time limit is not used: it is measured in the parent, and a parent that had waited for
Redis killed a child that had long finished. Children measure their batches themselves
(`tasks.worker.watchdog`). This is for what they cannot see, such as C code that never releases the
GIL.
"""

from __future__ import annotations

import mmap
import os
import signal
import struct
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import orjson

from tasks.config.settings import Settings
from tasks.telemetry.logs import get_logger
from tasks.worker import failures

log = get_logger(__name__)

BEAT_S = 0.5
GRACE_S = 4.0  # the child's own watchdog goes first: it knows what hangs

_ENTRY: Final = struct.Struct("QQ")  # process id, beats
_TAGS: Final = struct.Struct("H2046s")  # length, JSON
_SLOT: Final = _ENTRY.size + _TAGS.size


class SharedHeartbeats:
    """Heartbeats and Sentry tags of all children, in memory shared with their parent.

    Created before the children are forked; each has a slot.
    """

    def __init__(self, children: int) -> None:
        self._memory = mmap.mmap(-1, children * _SLOT)
        self._children = children

    def register(self, child: int) -> None:
        """Take a child's slot. It is not monitored before its first beat: it may load models."""
        self.set_tags(child, {})
        _ENTRY.pack_into(self._memory, child * _SLOT, os.getpid(), 0)

    def unregister(self, child: int) -> None:
        """Free a child's slot: its end is expected, or has been reported already."""
        _ENTRY.pack_into(self._memory, child * _SLOT, 0, 0)

    def beat(self, child: int) -> None:
        """Count one heartbeat of a child."""
        pid, beats = _ENTRY.unpack_from(self._memory, child * _SLOT)
        _ENTRY.pack_into(self._memory, child * _SLOT, pid, beats + 1)

    def set_tags(self, child: int, tags: Mapping[str, str]) -> None:
        """Set the tags of what a child runs, for its parent to report if it dies.

        Tags that are too long for the slot are left out.
        """
        text = orjson.dumps(tags) if tags else b""
        if len(text) > _TAGS.size - 2:
            text = b""
        _TAGS.pack_into(self._memory, child * _SLOT + _ENTRY.size, len(text), text)

    def read(self) -> list[tuple[int, int]]:
        """Process id and number of heartbeats of each child."""
        return [_ENTRY.unpack_from(self._memory, n * _SLOT) for n in range(self._children)]

    def tags_of_process(self, pid: int) -> dict[str, str] | None:
        """Tags of what a child runs or ran; None if no registered child has this process id."""
        for child, (known, _) in enumerate(self.read()):
            if known == pid:
                length, text = _TAGS.unpack_from(self._memory, child * _SLOT + _ENTRY.size)
                return _decode(text[:length])
        return None


def _decode(text: bytes) -> dict[str, str]:
    try:
        tags: dict[str, str] = orjson.loads(text)
    except orjson.JSONDecodeError:  # empty, or written only in part
        return {}
    return tags


class HeartbeatMonitor(threading.Thread):
    """A thread of the parent that kills children without heartbeats.

    It counts its own checks, not seconds: a pause of the whole worker must not look like silence.
    """

    def __init__(self, heartbeats: SharedHeartbeats, settings: Settings) -> None:
        super().__init__(name="heartbeat-monitor", daemon=True)
        self._heartbeats = heartbeats
        self._max_silent = (settings.hard_limit_s + GRACE_S) / BEAT_S
        self._seen: dict[int, tuple[int, int]] = {}
        self._silent: dict[int, int] = {}  # checks in a row without a new heartbeat, by child
        self._stopping = threading.Event()

    def run(self) -> None:
        while not self._stopping.wait(BEAT_S):
            self.check()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()

    def check(self) -> None:
        """Compare each child's heartbeats with those of the last check."""
        for child, seen in enumerate(self._heartbeats.read()):
            pid, beats = seen
            silent = self._seen.get(child) == seen and beats > 0
            self._silent[child] = self._silent.get(child, 0) + 1 if silent else 0
            self._seen[child] = seen
            if self._silent[child] > self._max_silent:
                log.critical("child sends no heartbeat: killing it", pid=pid)
                self._silent[child] = 0
                failures.no_heartbeat(pid, self._heartbeats.tags_of_process(pid) or {})
                self._heartbeats.unregister(child)
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
