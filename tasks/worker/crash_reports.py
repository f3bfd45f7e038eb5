"""Reports pool children that crashed, when billiard notices that they have ended."""

from __future__ import annotations

import signal
from typing import Any

from billiard.pool import EX_RECYCLE

from tasks.worker import failures
from tasks.worker.heartbeat import SharedHeartbeats

EXPECTED_EXIT_CODES = (0, EX_RECYCLE, -signal.SIGTERM)


def watch(pool: Any, heartbeats: SharedHeartbeats) -> None:
    """Report each child that ends without having been stopped and without a report of its own.

    pool: billiard's, whose `on_process_down` is called in the parent with each ended process.
    """
    original = pool.on_process_down

    def report_then_continue(process: Any) -> None:
        tags = heartbeats.tags_of_process(process.pid)
        if tags is not None and process.exitcode not in EXPECTED_EXIT_CODES:
            failures.crashed(process.pid, process.exitcode, tags)
        original(process)

    pool.on_process_down = report_then_continue
