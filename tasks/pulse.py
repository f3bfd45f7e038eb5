"""A worker's parent ends a child that shows no pulse: not even a Python thread can run in it.

Celery's time limit is not used. It counts from the parent's point of view, and a parent that had
waited for Redis killed a child that had long finished. Children measure their batches themselves
(`tasks.minder`); this is for what they cannot see, such as C code that never gives the GIL back.
"""

from __future__ import annotations

import mmap
import os
import signal
import struct
import threading
from contextlib import suppress
from typing import Final

from tasks.logs import get_logger
from tasks.settings import Settings

log = get_logger(__name__)

BEAT_S = 0.5
GRACE_S = 4.0  # the child goes first: it knows what it hangs in

_ENTRY: Final = struct.Struct("QQ")  # process id, beats


class Pulse:
    """Memory shared by a parent and its children; made before they are forked."""

    def __init__(self, children: int) -> None:
        self._memory = mmap.mmap(-1, children * _ENTRY.size)
        self._children = children

    def begin(self, child: int) -> None:
        """Take a child's place. It is not listened to before its first beat: it may load models."""
        _ENTRY.pack_into(self._memory, child * _ENTRY.size, os.getpid(), 0)

    def beat(self, child: int) -> None:
        pid, beats = _ENTRY.unpack_from(self._memory, child * _ENTRY.size)
        _ENTRY.pack_into(self._memory, child * _ENTRY.size, pid, beats + 1)

    def read(self) -> list[tuple[int, int]]:
        """Process id and beats of each child."""
        return [_ENTRY.unpack_from(self._memory, n * _ENTRY.size) for n in range(self._children)]


class Guard(threading.Thread):
    """The parent's thread. It counts its own looks: a pause of the whole worker is no silence."""

    def __init__(self, pulse: Pulse, settings: Settings) -> None:
        super().__init__(name="guard", daemon=True)
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
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
