"""What the processes of `python -m app` load."""

from multiprocessing import parent_process
from multiprocessing.util import Finalize
from typing import cast

from app.server.granian_hooks import give_protocol, limit_silence
from app.server.parent_watch import end_with_parent
from app.server.stop_signals import on_stop
from app.services import EXTENSION, Services
from app.wsgi import app

__all__ = ["app"]

# Not os.getppid(): by now the parent may be dead, and its successor is not ours to watch.
if (parent := parent_process()) and parent.pid:
    services = cast(Services, app.extensions[EXTENSION])
    end_with_parent(parent.pid)
    on_stop(services.waiting.drain)
    give_protocol()
    limit_silence(services.settings.send_timeout_s)
    if services.tracer:  # atexit's functions are not called in a child
        Finalize(None, services.tracer.stop, exitpriority=0)
