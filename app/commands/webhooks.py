"""Commands for webhook deliveries: `flask --app app.wsgi webhooks dead|retry`."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from app.services import services
from tasks.jobs.model import timestamp
from tasks.webhooks.deliveries import Delivery, given_up, read_delivery, redeliver

webhooks = AppGroup("webhooks", help="List and retry failed webhook deliveries.")


@webhooks.command("dead")
def dead() -> None:
    """List the deliveries that failed in all their attempts, newest first."""
    for delivery in given_up(services().store):
        why = _why(delivery)
        ended = timestamp(delivery.finished)
        what = f"{delivery.id}  {delivery.owner}  {delivery.event}"
        click.echo(f"{ended}  {what}  {delivery.tries} attempts  {why}")


@webhooks.command("retry")
@click.argument("delivery_id", metavar="DELIVERY")
def retry(delivery_id: str) -> None:
    """Retry DELIVERY now, whoever its owner is."""
    store = services().store
    found = read_delivery(store, delivery_id)
    if found is None or not redeliver(store, delivery_id, found.owner):
        text = f"There is no delivery {delivery_id}; `flask webhooks dead` lists the failed ones."
        raise click.ClickException(text)
    click.echo(f"{delivery_id} is retried.")


def _why(delivery: Delivery) -> str:
    """The outcome of the last attempt; an attempt whose worker died has no log entry."""
    last = delivery.log[-1] if delivery.log else {}
    status = last.get("status")
    return f"{last.get('error') or 'worker_died'}{f' {status}' if status else ''}"
