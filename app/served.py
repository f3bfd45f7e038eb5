"""What the processes of `python -m app` load."""

from multiprocessing import parent_process

from app.orphans import end_with_parent
from app.wsgi import app

__all__ = ["app"]

# Not os.getppid(): by now the parent may be dead, and its successor is not ours to watch.
if (parent := parent_process()) and parent.pid:
    end_with_parent(parent.pid)
