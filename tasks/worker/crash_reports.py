"""A parent hears of each child that ends, from billiard, before another takes its place."""

from __future__ import annotations

import signal
from typing import Any

from billiard.pool import EX_RECYCLE

from tasks.worker import failures
from tasks.worker.heartbeat import SharedHeartbeats

GOOD_ENDS = (0, EX_RECYCLE, -signal.SIGTERM)


def watch(pool: Any, pulse: SharedHeartbeats) -> None:
    """Tell of children that neither were told to end nor said why.

    pool: billiard's, whose `on_process_down` is called in the parent with a process that ended.
    """
    go_on = pool.on_process_down

    def down(process: Any) -> None:
        doing = pulse.doing_of(process.pid)
        if doing is not None and process.exitcode not in GOOD_ENDS:
            failures.crashed(process.pid, process.exitcode, doing)
        go_on(process)

    pool.on_process_down = down
