"""Commands for dead jobs: `flask --app app.wsgi jobs dead|requeue`."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from app.commands.errors import report_errors
from app.services import services
from tasks.jobs.dead_letters import NoDeadLetter, dead_letters, requeue
from tasks.jobs.model import timestamp

jobs = AppGroup("jobs", help="List and requeue dead units of jobs.")


@jobs.command("dead")
@report_errors(NoDeadLetter)
def dead() -> None:
    """List the units that failed in all their attempts, newest first."""
    for letter in dead_letters(services().store):
        died = timestamp(letter.died * 1000)
        items = len(letter.payload.inputs)
        click.echo(f"{died}  {letter.job}  {letter.spec.pipeline}  {letter.lane}  {items} items")


@jobs.command("requeue")
@click.argument("job_id")
@report_errors(NoDeadLetter, hint="`flask jobs dead` lists those there are.")
def replay(job_id: str) -> None:
    """Submit the dead units of JOB_ID again and print the ids of the new jobs."""
    for new_id in requeue(services().store, job_id):
        click.echo(new_id)
