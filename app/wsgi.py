"""What a WSGI server loads: `app.wsgi:app`."""

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

# Requests make many short-lived containers and hardly a cycle; what is loaded now stays for good.
gc.collect()
gc.freeze()
gc.set_threshold(50_000, 20, 50)
