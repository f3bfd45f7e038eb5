"""Sinks: the receivers of finished jobs, such as the log, Flower and traces."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tasks.jobs.finished import FinishedJob
from tasks.telemetry.logs import get_logger

log = get_logger(__name__)

Sink = Callable[[Sequence[FinishedJob]], None]


class JobSinks:
    """Passes finished jobs to every sink. A sink that fails is logged once and stops nothing."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = tuple(sinks)
        self._failed: set[Sink] = set()

    def report(self, jobs: Sequence[FinishedJob]) -> None:
        """Pass on jobs that have just ended."""
        if not jobs:
            return
        for sink in self._sinks:
            try:
                sink(jobs)
            except Exception:
                self._log_failure(sink)

    def _log_failure(self, sink: Sink) -> None:
        if sink not in self._failed:
            self._failed.add(sink)
            log.exception("jobs are not reported", sink=repr(sink))
