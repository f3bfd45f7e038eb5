"""What a WSGI server loads: `app.wsgi:app`."""

import gc
import os

from app import reporting
from app.factory import create_app
from tasks.logs import configure_logs
from tasks.misspelt import warn_of_misspelt
from tasks.settings import Settings

settings = Settings.from_env()
configure_logs(settings)
warn_of_misspelt(os.environ)
reporting.start(settings)
app = create_app(settings)

# Requests make many short-lived containers and hardly a cycle; what is loaded now stays for good.
gc.collect()
gc.freeze()
gc.set_threshold(50_000, 20, 50)
