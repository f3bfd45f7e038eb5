"""A web process whose parent has died ends itself: nobody would ever stop it otherwise.

Granian's processes share the port, so one left behind would go on answering beside its successors,
with yesterday's code and settings.
"""

from __future__ import annotations

import os
import signal
import threading
import time

LOOK_S = 1.0


def exit_with_parent(parent: int) -> None:
    """Watch, on a thread, whether process `parent` is still this one's parent."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_S)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="orphans", daemon=True).start()
