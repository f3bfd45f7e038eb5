"""An application with the operators' commands, as app/wsgi.py makes it."""

from __future__ import annotations

import pytest
from flask import Flask

from app.commands.register import register_commands
from app.factory import create_app
from tasks.config.settings import Settings
from tasks.store.client import Store


@pytest.fixture
def app(settings: Settings, store: Store) -> Flask:
    app = create_app(settings)
    register_commands(app)
    return app
