"""Ends a web process whose parent has died.

Nothing else would stop it, and granian's processes share the port: an orphan would go on answering
beside its successors, with old code and settings.
"""

from __future__ import annotations

import os
import signal
import threading
import time

CHECK_S = 1.0


def exit_with_parent(parent: int) -> None:
    """Check once a second, on a thread, that process `parent` is still the parent; else exit."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(CHECK_S)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
