"""Entry point of a WSGI server: `app.wsgi:app`."""

import gc
import os

from app.commands.register import register_commands
from app.factory import create_app
from app.http import error_reports
from tasks.config.settings import Settings
from tasks.config.unknown_variables import find_unknown_variables
from tasks.telemetry.logs import configure_logs, get_logger

settings = Settings.from_env()
configure_logs(settings)
for variable, nearest in find_unknown_variables(os.environ):
    get_logger(__name__).warning("no such setting: ignored", variable=variable, nearest=nearest)
error_reports.start_reporting(settings)
app = create_app(settings)
register_commands(app)

# Requests create many short-lived containers and hardly any reference cycle, and what is loaded
# now stays in memory: the garbage collector should rarely run and never look at it.
gc.collect()
gc.freeze()
gc.set_threshold(50_000, 20, 50)
