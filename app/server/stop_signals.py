"""Hearing that this process is to end, beside the server that has the signal's handler.

Python writes the number of every signal that has a handler into a pipe of our choice
(`signal.set_wakeup_fd`), whoever's handler it is. Granian's stops accepting and waits for what is
under way; this tells those who wait for long that they need not.
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
