"""A worker's parent ends a child that shows no pulse: not even a Python thread can run in it.

Celery's time limit is not used. It counts from the parent's point of view, and a parent that had
waited for Redis killed a child that had long finished. Children measure their batches themselves
(`tasks.worker.watchdog`); this is for what they cannot see, such as C code that never gives the GIL
back.
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
GRACE_S = 4.0  # the child goes first: it knows what it hangs in

_ENTRY: Final = struct.Struct("QQ")  # process id, beats
_NOTE: Final = struct.Struct("H2046s")  # length, JSON
_PLACE: Final = _ENTRY.size + _NOTE.size


class SharedHeartbeats:
    """Memory shared by a parent and its children; made before they are forked."""

    def __init__(self, children: int) -> None:
        self._memory = mmap.mmap(-1, children * _PLACE)
        self._children = children

    def begin(self, child: int) -> None:
        """Take a child's place. It is not listened to before its first beat: it may load models."""
        self.note(child, {})
        _ENTRY.pack_into(self._memory, child * _PLACE, os.getpid(), 0)

    def end(self, child: int) -> None:
        """Give it back: whatever ends this process now has been told of."""
        _ENTRY.pack_into(self._memory, child * _PLACE, 0, 0)

    def beat(self, child: int) -> None:
        pid, beats = _ENTRY.unpack_from(self._memory, child * _PLACE)
        _ENTRY.pack_into(self._memory, child * _PLACE, pid, beats + 1)

    def note(self, child: int, doing: Mapping[str, str]) -> None:
        """What a child is at, for its parent to read if it dies of it; left out if it is long."""
        text = orjson.dumps(doing) if doing else b""
        if len(text) > _NOTE.size - 2:
            text = b""
        _NOTE.pack_into(self._memory, child * _PLACE + _ENTRY.size, len(text), text)

    def read(self) -> list[tuple[int, int]]:
        """Process id and beats of each child."""
        return [_ENTRY.unpack_from(self._memory, n * _PLACE) for n in range(self._children)]

    def doing_of(self, pid: int) -> dict[str, str] | None:
        """What the child of this process id is at, or was; None if it is none, or said goodbye."""
        for child, (place, _) in enumerate(self.read()):
            if place == pid:
                length, text = _NOTE.unpack_from(self._memory, child * _PLACE + _ENTRY.size)
                return _read(text[:length])
        return None


def _read(note: bytes) -> dict[str, str]:
    try:
        doing: dict[str, str] = orjson.loads(note)
    except orjson.JSONDecodeError:  # none, or half of one
        return {}
    return doing


class HeartbeatMonitor(threading.Thread):
    """The parent's thread. It counts its own looks: a pause of the whole worker is no silence."""

    def __init__(self, pulse: SharedHeartbeats, settings: Settings) -> None:
        super().__init__(name="heartbeat-monitor", daemon=True)
        self._pulse = pulse
        self._patience = (settings.hard_limit_s + GRACE_S) / BEAT_S
        self._heard: dict[int, tuple[int, int]] = {}
        self._silent: dict[int, int] = {}
        self._stopping = threading.Event()

    def run(self) -> None:
        while not self._stopping.wait(BEAT_S):
            self.look()

    def stop(self) -> None:
        self._stopping.set()

    def look(self) -> None:
        for child, heard in enumerate(self._pulse.read()):
            pid, beats = heard
            silent = self._heard.get(child) == heard and beats > 0
            self._silent[child] = self._silent.get(child, 0) + 1 if silent else 0
            self._heard[child] = heard
            if self._silent[child] > self._patience:
                log.critical("a child shows no pulse: ending it", pid=pid)
                self._silent[child] = 0
                failures.no_pulse(pid, self._pulse.doing_of(pid) or {})
                self._pulse.end(child)
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
