"""Operators' commands: `flask --app app.wsgi jobs ...`."""

from __future__ import annotations

import click
from flask import Flask
from flask.cli import AppGroup

from app.commands.errors import explained
from app.commands.keys import keys
from app.commands.webhooks import webhooks
from app.services import services
from tasks.jobs.dead_letters import NotDead, dead_letters, requeue
from tasks.jobs.model import timestamp

jobs = AppGroup("jobs", help="Look after jobs.")


@jobs.command("dead")
@explained(NotDead)
def dead() -> None:
    """List the units that used up their attempts, newest first."""
    for letter in dead_letters(services().store):
        died = timestamp(letter.died * 1000)
        items = len(letter.payload.inputs)
        click.echo(f"{died}  {letter.job}  {letter.spec.pipeline}  {letter.lane}  {items} items")


@jobs.command("requeue")
@click.argument("job_id")
@explained(NotDead)
def replay(job_id: str) -> None:
    """Submit the dead units of JOB_ID anew and print the new jobs' ids."""
    for new_id in requeue(services().store, job_id):
        click.echo(new_id)


def install(app: Flask) -> None:
    app.cli.add_command(jobs)
    app.cli.add_command(keys)
    app.cli.add_command(webhooks)
