"""Runs calls under a time limit, on a separate thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class CallTimeout(Exception):
    """The call took longer than its limit, or an earlier one is still stuck."""


class TimedCaller(Generic[T, R]):
    """Runs one function on one daemon thread, so that a stuck call cannot block its caller.

    Not a ThreadPoolExecutor, which waits for its threads when the interpreter exits: a stuck
    kernel would then keep the worker from ending. Used by one thread at a time.
    """

    def __init__(self, function: Callable[[T], R], limit_s: float, name: str) -> None:
        self._function = function
        self.limit_s = limit_s
        self._name = name
        self._calls: SimpleQueue[tuple[Future[R], T]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self.last: Future[R] | None = None
        self._began = 0.0

    def __call__(self, argument: T) -> R:
        """The function's result or exception; raises CallTimeout after `limit_s` seconds."""
        if self.stuck:
            raise CallTimeout(f"{self._name} is still busy with a call that timed out")
        self._start()
        self._began = time.monotonic()
        future = self.last = Future()
        self._calls.put((future, argument))
        try:
            return future.result(self.limit_s)
        except TimeoutError:
            if future.done():  # the function itself raised TimeoutError
                raise
            raise CallTimeout(f"{self._name} took longer than {self.limit_s:g} s") from None

    @property
    def stuck(self) -> bool:
        """Whether a call that timed out still holds the thread."""
        return self.last is not None and not self.last.done()

    @property
    def overdue_s(self) -> float:
        """Seconds by which the current call has exceeded its limit; 0 if it has not."""
        return max(0.0, time.monotonic() - self._began - self.limit_s) if self.stuck else 0.0

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
            self._thread.start()

    def _serve(self) -> None:
        while True:
            future, argument = self._calls.get()
            try:
                future.set_result(self._function(argument))
            except BaseException as error:
                future.set_exception(error)
