"""Who may be asked now: places for attempts, so that endpoints that hang leave room for the others.

A line (an endpoint, or an owner's jobs to one host) begins with few places at once, gets more as it
answers well and loses them as it fails; while it keeps failing hardly anything waits in it. All
lines that are not known to answer well share a part of the places, so that some are always left for
those that are.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

FIRST = 2  # places of a line of which nothing is known
UNTRUSTED_SHARE = 0.75  # of all places, for lines whose last attempt did not succeed
FAILS = 2  # attempts in a row after which a line keeps failing: it may be down
MOST_WAITING_IF_IT_FAILS = 1
MOST_LINES = 10_000  # remembered, beyond those with anything under way


@dataclass(slots=True)
class _Line(Generic[T]):
    most: int = FIRST
    trusted: bool = False
    failures: int = 0
    running: int = 0
    waiting: deque[T] = field(default_factory=deque)

    @property
    def ready(self) -> bool:
        return bool(self.waiting) and self.running < self.most

    @property
    def idle(self) -> bool:
        return not self.waiting and not self.running

    def dismiss(self, all_but: int) -> list[T]:
        return [self.waiting.pop() for _ in range(max(0, len(self.waiting) - all_but))]


class ConcurrencyLimiter(Generic[T]):
    """Of one event loop; nothing here is locked."""

    def __init__(self, most: int, most_of_line: int) -> None:
        self._most = most
        self._most_untrusted = max(1, int(most * UNTRUSTED_SHARE))
        self._most_of_line = most_of_line
        self._running = 0
        self._untrusted = 0  # of these
        self._lines: OrderedDict[str, _Line[T]] = OrderedDict()
        self._ready: dict[bool, OrderedDict[str, None]] = {
            True: OrderedDict(),
            False: OrderedDict(),
        }
        self._turn = False

    def enter(self, name: str, one: T) -> bool:
        """Stand in line; False if that would be for nothing, as the line keeps failing."""
        line = self._lines.setdefault(name, _Line())
        if line.failures >= FAILS and len(line.waiting) >= MOST_WAITING_IF_IT_FAILS:
            return False
        line.waiting.append(one)
        self._line_up(name, line)
        return True

    def take(self) -> list[T]:
        """Those that may be asked now, lines by turns; each must `leave` afterwards."""
        taken = []
        while (name := self._next()) is not None:
            line = self._lines[name]
            taken.append(line.waiting.popleft())
            line.running += 1
            self._running += 1
            self._untrusted += not line.trusted
            self._line_up(name, line)
        return taken

    def leave(self, name: str, well: bool) -> list[T]:
        """An attempt has ended; returns those that need not wait, as the line keeps failing."""
        line = self._lines[name]
        self._running -= 1
        self._untrusted -= 0 if line.trusted else line.running
        line.running -= 1
        self._ready[line.trusted].pop(name, None)
        line.trusted = well
        line.failures = 0 if well else line.failures + 1
        line.most = min(line.most * 2, self._most_of_line) if well else max(line.most // 2, 1)
        self._untrusted += 0 if well else line.running
        self._line_up(name, line)
        self._forget_some(name)
        return line.dismiss(MOST_WAITING_IF_IT_FAILS) if line.failures >= FAILS else []

    def dismiss_all(self) -> list[T]:
        """Take all that wait out of their lines."""
        for queue in self._ready.values():
            queue.clear()
        return [one for line in self._lines.values() for one in line.dismiss(0)]

    def _line_up(self, name: str, line: _Line[T]) -> None:
        if line.ready:
            self._ready[line.trusted].setdefault(name)

    def _next(self) -> str | None:
        """The line whose turn it is: one that is trusted and one that is not, alternately."""
        if self._running >= self._most:
            return None
        self._turn = not self._turn
        for trusted in (self._turn, not self._turn):
            if self._ready[trusted] and (trusted or self._untrusted < self._most_untrusted):
                return self._ready[trusted].popitem(last=False)[0]
        return None

    def _forget_some(self, latest: str) -> None:
        self._lines.move_to_end(latest)
        while len(self._lines) > MOST_LINES and next(iter(self._lines.values())).idle:
            self._lines.popitem(last=False)
