"""Adds the command groups `flask keys`, `flask jobs` and `flask webhooks` to an application."""

from __future__ import annotations

from flask import Flask

from app.commands.jobs import jobs
from app.commands.keys import keys
from app.commands.webhooks import webhooks


def register_commands(app: Flask) -> None:
    """Add the groups to the command line of `app`."""
    for group in (jobs, keys, webhooks):
        app.cli.add_command(group)
