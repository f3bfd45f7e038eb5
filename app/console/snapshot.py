"""Cache of the console's data: built at most once a second in each process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

import orjson

from app.console.view import build_view
from app.services import Services
from tasks.drift.reports import read_reports
from tasks.status.overview import read_overview

FRESH_S: Final = 1.0


class SnapshotCache:
    """The response of `GET /console/data`. clock: monotonic, seconds."""

    def __init__(self, services: Services, clock: Callable[[], float] = time.monotonic) -> None:
        self._services = services
        self._clock = clock
        self._lock = threading.Lock()
        self._text = b""
        self._made_at = -FRESH_S

    def text(self) -> bytes:
        """The data as JSON; callers wait while it is being built.

        Raises:
            redis.RedisError: Redis is out of reach.
        """
        with self._lock:
            if not self._text or self._clock() - self._made_at >= FRESH_S:
                here = self._services
                seen = read_overview(here.store, here.pipelines.values())
                shown = build_view(seen, here.settings, here.pipelines.values())
                shown["drift"] = list(read_reports(here.store, here.pipelines.values()))
                self._text = orjson.dumps(shown)
                self._made_at = self._clock()
            return self._text
