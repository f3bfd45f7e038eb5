"""Calls a function when the process is told to stop, beside the server's own signal handler.

Python writes the number of every handled signal into a pipe of our choice
(`signal.set_wakeup_fd`), whichever code has set the handler. Granian's handler stops accepting and
waits for open requests; this ends those that would wait for long.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable


def call_on_stop(act: Callable[[], None]) -> None:
    """Call `act`, on a thread of its own, at the first SIGTERM or SIGINT. Main thread only."""
    heard, told = os.pipe()
    os.set_blocking(told, False)
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)

    def listen() -> None:
        while os.read(heard, 1)[0] not in {signal.SIGTERM, signal.SIGINT}:
            pass
        act()

    threading.Thread(target=listen, name="draining", daemon=True).start()
