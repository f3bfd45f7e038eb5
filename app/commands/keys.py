"""Commands for API keys: `flask --app app.wsgi keys create|list|rotate|revoke`.

Only a new key goes to standard output, so that it can be piped to where it is stored.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import click
from flask.cli import AppGroup

from app.api_keys import management
from app.api_keys.management import IssuedKey, KeyRequest, NoSuchChange
from app.api_keys.principal import OWNER_PATTERN, KeyLimits, Scope
from app.api_keys.records import KeyRecord, read_keys
from app.commands.errors import report_errors
from app.services import services
from tasks.jobs.model import timestamp

SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
LONGEST_S = 100 * 366 * 86_400
LONGEST_NAME = 100
COLUMNS = ("ID", "OWNER", "SCOPES", "STATE", "CREATED", "EXPIRES", "LIMITS", "NAME")

keys = AppGroup("keys", help="Create, list, rotate and revoke API keys.")


class Duration(click.ParamType[int]):
    """A duration given as a number and a unit: 45s, 30m, 24h, 90d, 2w; read as seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d{1,10})([smhdw])", value, re.ASCII)
        seconds = int(found[1]) * SECONDS[found[2]] if found else LONGEST_S + 1
        if seconds > LONGEST_S:
            self.fail(f"{value!r} is not a duration such as 90d, 24h, 30m or 45s.", param, ctx)
        return seconds


def _owner(_: click.Context, __: click.Parameter, value: str) -> str:
    if not re.fullmatch(OWNER_PATTERN, value):
        raise click.BadParameter("Must be 1 to 64 letters, digits, '_' or '-'.")
    return value


def _name(_: click.Context, __: click.Parameter, value: str) -> str:
    if len(value) > LONGEST_NAME or not value.isprintable():
        raise click.BadParameter(f"Must be at most {LONGEST_NAME} printable characters.")
    return value


def _positive(_: click.Context, __: click.Parameter, value: int | None) -> int | None:
    if value == 0:
        raise click.BadParameter("Must be more than 0.")
    return value


COUNT = click.IntRange(1, 2**31)


@keys.command("create")
@click.option(
    "--owner", required=True, callback=_owner, help="The owner whose jobs the key can see."
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([str(scope) for scope in Scope]),
    default=[str(Scope.JOBS)],
    show_default=True,
    help="What the key gives access to; may be repeated.",
)
@click.option("--name", default="", callback=_name, help="A description of the key.")
@click.option(
    "--expires-in", type=Duration(), callback=_positive, help="Such as 90d; default: never."
)
@click.option("--requests-per-s", type=COUNT, help="Default: PENSTOCK_REQUESTS_PER_S.")
@click.option("--items-per-s", type=COUNT, help="Default: PENSTOCK_ITEMS_PER_S.")
@click.option("--unfinished-items", type=COUNT, help="Default: PENSTOCK_UNFINISHED_ITEMS.")
@report_errors(NoSuchChange)
def create(scopes: tuple[str, ...], expires_in: int | None, **limits: Any) -> None:
    """Create a key and print it; it is not shown again."""
    asked = tuple(dict.fromkeys(Scope(scope) for scope in scopes))
    _print_key(
        management.create(services().store, KeyRequest(scopes=asked, lives_s=expires_in, **limits))
    )


@keys.command("list")
@report_errors(NoSuchChange)
def list_() -> None:
    """List all keys, expired and revoked ones too, without secrets and digests."""
    now = read_keys(services().store)
    records = sorted((now.records or {}).values(), key=lambda record: record.created)
    rows = [COLUMNS, *(_row(record, now.now) for record in records)]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        click.echo("  ".join(cells).rstrip())


@keys.command("rotate")
@click.argument("key_id", metavar="ID")
@click.option("--grace", type=Duration(), default="24h", show_default=True)
@report_errors(NoSuchChange)
def rotate(key_id: str, grace: int) -> None:
    """Create and print a successor of key ID; the old key works until the grace period ends."""
    _print_key(management.rotate(services().store, key_id, grace))


@keys.command("revoke")
@click.argument("key_id", metavar="ID")
@report_errors(NoSuchChange)
def revoke(key_id: str) -> None:
    """Revoke key ID; within a second it stops working."""
    record = management.revoke(services().store, key_id)
    click.echo(f"Revoked {record.id} of {record.owner}.", err=True)


def _print_key(issued: IssuedKey) -> None:
    record = issued.record
    expires = f"expires {timestamp(record.expires)}" if record.expires else "never expires"
    about = f"Key {record.id} of {record.owner}, scopes {_scopes(record)}, {expires}."
    click.echo(f"{about} It works within a second and is not shown again:", err=True)
    click.echo(issued.key.text)


def _row(record: KeyRecord, now: int) -> tuple[str, ...]:
    return (
        record.id,
        record.owner,
        _scopes(record),
        record.state(now),
        str(timestamp(record.created)),
        str(timestamp(record.expires)) if record.expires else "never",
        _limits(record),
        record.name,
    )


def _limits(record: KeyRecord) -> str:
    """The limits of the key itself; the settings have the others."""
    names = [field.name for field in dataclasses.fields(KeyLimits)]
    own = {name: getattr(record, name) for name in names}
    return ",".join(f"{name}={value}" for name, value in own.items() if value) or "default"


def _scopes(record: KeyRecord) -> str:
    return ",".join(record.scopes)
