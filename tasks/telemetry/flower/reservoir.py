"""A uniform sample of what passes by, of bounded size, for those who watch and need not see all."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class ReservoirSample(Generic[T]):
    """Keeps at most `most` of all that was offered since it was last emptied, each as likely.

    Thread-safe. Algorithm R: J. S. Vitter, Random Sampling with a Reservoir, 1985.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: list[T] = []
        self._offered = 0
        self._lock = threading.Lock()

    def offer(self, things: Iterable[T]) -> None:
        with self._lock:
            for thing in things:
                self._offered += 1
                if len(self._kept) < self._most:
                    self._kept.append(thing)
                elif (place := int(random.random() * self._offered)) < self._most:  # noqa: S311
                    self._kept[place] = thing

    def take(self) -> tuple[list[T], int]:
        """Empty it; returns what it held and how many more had been offered."""
        with self._lock:
            kept, left_out = self._kept, self._offered - len(self._kept)
            self._kept, self._offered = [], 0
        return kept, left_out
