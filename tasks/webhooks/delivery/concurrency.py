"""Adaptive per-endpoint concurrency limiter for webhook delivery.

Requests are grouped by target: an endpoint, or the host to which an owner's jobs send. A target
starts with a limit of a few concurrent requests. The limit doubles with each success and halves
with each failure; while a target keeps failing, hardly anything waits for it. All targets whose
last request did not succeed share a part of the capacity, so that some of it is always left for
the others.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

INITIAL_LIMIT = 2  # concurrent requests to a target of which nothing is known
UNTRUSTED_SHARE = 0.75  # of the capacity, for targets whose last request did not succeed
FAILURES_IN_A_ROW = 2  # after which a target counts as failing: it may be down
MAX_WAITING_IF_FAILING = 1
MAX_TARGETS = 10_000  # remembered, beyond those with anything waiting or running


@dataclass(slots=True)
class _Target(Generic[T]):
    """Limit and queue of one target. trusted: its last request succeeded."""

    limit: int = INITIAL_LIMIT
    trusted: bool = False
    failures: int = 0
    running: int = 0
    waiting: deque[T] = field(default_factory=deque)

    @property
    def is_ready(self) -> bool:
        return bool(self.waiting) and self.running < self.limit

    @property
    def is_idle(self) -> bool:
        return not self.waiting and not self.running

    @property
    def is_failing(self) -> bool:
        return self.failures >= FAILURES_IN_A_ROW

    def adapt(self, succeeded: bool, max_limit: int) -> None:
        """Raise or lower the limit by the result of a request."""
        self.trusted = succeeded
        self.failures = 0 if succeeded else self.failures + 1
        self.limit = min(self.limit * 2, max_limit) if succeeded else max(self.limit // 2, 1)

    def remove_waiting(self, keep: int) -> list[T]:
        """Take the latest out of the queue until `keep` are left in it."""
        return [self.waiting.pop() for _ in range(max(0, len(self.waiting) - keep))]


class ConcurrencyLimiter(Generic[T]):
    """Decides which waiting requests may start; for one event loop, so nothing is locked.

    capacity: concurrent requests in all. max_limit: to one target.
    """

    def __init__(self, capacity: int, max_limit: int) -> None:
        self._capacity = capacity
        self._untrusted_capacity = max(1, int(capacity * UNTRUSTED_SHARE))
        self._max_limit = max_limit
        self._running = 0
        self._running_untrusted = 0
        self._targets: OrderedDict[str, _Target[T]] = OrderedDict()
        # Names of the targets that may start a request, by whether they are trusted
        self._ready: dict[bool, OrderedDict[str, None]] = {
            True: OrderedDict(),
            False: OrderedDict(),
        }
        self._trusted_next = False

    def enqueue(self, name: str, request: T) -> bool:
        """Add a request to its target's queue; False if the target is failing and has its share."""
        target = self._targets.setdefault(name, _Target())
        if target.is_failing and len(target.waiting) >= MAX_WAITING_IF_FAILING:
            return False
        target.waiting.append(request)
        self._mark_ready(name, target)
        return True

    def start_ready(self) -> list[T]:
        """Take the requests that may start now, targets by turns; `finish` each afterwards."""
        started = []
        while (name := self._next_ready()) is not None:
            target = self._targets[name]
            started.append(target.waiting.popleft())
            target.running += 1
            self._running += 1
            self._running_untrusted += not target.trusted
            self._mark_ready(name, target)
        return started

    def finish(self, name: str, succeeded: bool) -> list[T]:
        """Record a result; returns waiting requests that a failing target does not get."""
        target = self._targets[name]
        self._uncount(name, target)
        target.running -= 1
        target.adapt(succeeded, self._max_limit)
        self._count(name, target)
        self._forget_oldest(name)
        return target.remove_waiting(MAX_WAITING_IF_FAILING) if target.is_failing else []

    def remove_all_waiting(self) -> list[T]:
        """Empty all queues; returns what was in them."""
        for names in self._ready.values():
            names.clear()
        return [one for target in self._targets.values() for one in target.remove_waiting(0)]

    def _uncount(self, name: str, target: _Target[T]) -> None:
        """Take a target's running requests out of the sums, before its trust changes."""
        self._running -= target.running
        self._running_untrusted -= 0 if target.trusted else target.running
        self._ready[target.trusted].pop(name, None)

    def _count(self, name: str, target: _Target[T]) -> None:
        self._running += target.running
        self._running_untrusted += 0 if target.trusted else target.running
        self._mark_ready(name, target)

    def _mark_ready(self, name: str, target: _Target[T]) -> None:
        if target.is_ready:
            self._ready[target.trusted].setdefault(name)

    def _next_ready(self) -> str | None:
        """The target whose turn it is: a trusted one and an untrusted one, alternately."""
        if self._running >= self._capacity:
            return None
        self._trusted_next = not self._trusted_next
        for trusted in (self._trusted_next, not self._trusted_next):
            has_room = trusted or self._running_untrusted < self._untrusted_capacity
            if self._ready[trusted] and has_room:
                return self._ready[trusted].popitem(last=False)[0]
        return None

    def _forget_oldest(self, latest: str) -> None:
        self._targets.move_to_end(latest)
        while len(self._targets) > MAX_TARGETS and next(iter(self._targets.values())).is_idle:
            self._targets.popitem(last=False)
