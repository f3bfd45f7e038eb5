"""Threads that start on first use, because servers fork after the application is built."""

from __future__ import annotations

import threading
from collections.abc import Callable


class LazyThread:
    """A daemon thread that is started once, by its first user."""

    def __init__(self, name: str, run: Callable[[], None]) -> None:
        self._name = name
        self._run = run
        self._started = False
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start the thread unless it was started; after a failure the next call tries again.

        Raises:
            RuntimeError: the process can start no more threads.
        """
        if self._started:
            return
        with self._lock:
            if not self._started:
                threading.Thread(target=self._run, name=self._name, daemon=True).start()
                self._started = True
