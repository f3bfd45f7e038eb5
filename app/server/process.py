"""Entry point of the web processes that `python -m app` starts: `app.server.process:app`."""

from multiprocessing import parent_process
from multiprocessing.util import Finalize
from typing import cast

from app.server.granian_hooks import expose_protocol, set_send_timeout
from app.server.parent_watch import exit_with_parent
from app.server.stop_signals import call_on_stop
from app.services import EXTENSION, Services
from app.wsgi import app

__all__ = ["app"]

# Not os.getppid(): the parent may be dead by now, and getppid would then name another process.
if (parent := parent_process()) and parent.pid:
    services = cast(Services, app.extensions[EXTENSION])
    exit_with_parent(parent.pid)
    call_on_stop(services.long_polls.drain)
    expose_protocol()
    set_send_timeout(services.settings.send_timeout_s)
    if services.tracer:  # atexit functions are not called in a child
        Finalize(None, services.tracer.stop, exitpriority=0)
