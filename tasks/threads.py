"""Threads that begin when they are first needed: servers fork after the application is built."""

from __future__ import annotations

import threading
from collections.abc import Callable


class LazyThread:
    """A daemon thread that any of its users may begin; there is never more than one."""

    def __init__(self, name: str, run: Callable[[], None]) -> None:
        self._name = name
        self._run = run
        self._started = False
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start it unless it has been; if that fails, whoever comes next tries again.

        Raises:
            RuntimeError: the process may have no more threads.
        """
        if self._started:
            return
        with self._lock:
            if not self._started:
                threading.Thread(target=self._run, name=self._name, daemon=True).start()
                self._started = True
