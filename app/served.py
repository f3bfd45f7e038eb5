"""What the processes of `python -m app` load."""

import os

from app.orphans import end_with_parent
from app.wsgi import app

__all__ = ["app"]

end_with_parent(os.getppid())
