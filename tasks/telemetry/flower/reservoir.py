"""Reservoir sampling: a uniform random sample of bounded size from a stream."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class ReservoirSample(Generic[T]):
    """Keeps at most `most` of the items offered since it was last emptied, each equally likely.

    Thread-safe. Algorithm R: J. S. Vitter, Random Sampling with a Reservoir, 1985.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._items: list[T] = []
        self._offered = 0
        self._lock = threading.Lock()

    def offer(self, items: Iterable[T]) -> None:
        """Add items, each with the same chance to be kept."""
        with self._lock:
            for item in items:
                self._offered += 1
                if len(self._items) < self._most:
                    self._items.append(item)
                elif (index := int(random.random() * self._offered)) < self._most:  # noqa: S311
                    self._items[index] = item

    def take(self) -> tuple[list[T], int]:
        """Empty the sample; returns its items and the number of items left out."""
        with self._lock:
            sample, left_out = self._items, self._offered - len(self._items)
            self._items, self._offered = [], 0
        return sample, left_out
