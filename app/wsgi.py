"""What a WSGI server loads: `app.wsgi:app`."""

from app import create_app
from tasks.logs import configure_logs
from tasks.settings import Settings

settings = Settings.from_env()
configure_logs(settings)
app = create_app(settings)
