"""Validates the query of `GET /v1/usage`: owner and days."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from marshmallow import Schema, ValidationError, fields
from marshmallow.validate import Regexp

from app.api_keys.principal import OWNER_PATTERN
from app.http.errors import BadRequest
from app.http.query_params import INVALID
from tasks.status.usage import KEPT_DAYS

PARAMETERS: Final = ("days", "from", "to", "owner")
USUAL_DAYS: Final = 30
_EPOCH: Final = date(1970, 1, 1)


class Days(fields.Field[int]):
    """A number of days, the last of which is today."""

    def _deserialize(self, value: str, *_: Any, **__: Any) -> int:
        if not re.fullmatch(r"\d{1,9}", value, re.ASCII) or not 1 <= int(value) <= KEPT_DAYS:
            raise ValidationError(f"Must be a whole number between 1 and {KEPT_DAYS}.")
        return int(value)


class Day(fields.Field[date]):
    """A calendar day in UTC."""

    def _deserialize(self, value: str, *_: Any, **__: Any) -> date:
        try:
            if re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII):
                return date.fromisoformat(value)
        except ValueError:
            pass
        raise ValidationError("Must be a day such as 2026-01-31.")


class UsageQuery(Schema):
    """The parameters of the query."""

    days = Days()
    first = Day(data_key="from")
    last = Day(data_key="to")
    owner = fields.String(
        validate=Regexp(OWNER_PATTERN + r"\Z", error="Must be 1 to 64 letters, digits, '_' or '-'.")
    )


@dataclass(frozen=True, slots=True)
class UsageRange:
    """An owner and its days, from the first to the last, both included."""

    owner: str
    first: date
    last: date

    @property
    def days(self) -> range:
        """Days since the epoch."""
        return range((self.first - _EPOCH).days, (self.last - _EPOCH).days + 1)


def day_of(number: int) -> date:
    """The day with that number. number: days since the epoch."""
    return _EPOCH + timedelta(days=number)


def period(query: Mapping[str, Any], now: date) -> tuple[date, date]:
    """The first day and the last one of a loaded query. now: today, in UTC.

    Raises:
        BadRequest: it names every parameter that is wrong.
    """
    if "first" not in query and "last" not in query:
        return now - timedelta(days=query.get("days", USUAL_DAYS) - 1), now
    if wrong := _wrong_with(query, now):
        errors = [{"parameter": name, "detail": said} for name, said in wrong.items()]
        raise BadRequest(INVALID, errors)
    return query["first"], query.get("last", now)


def _wrong_with(query: Mapping[str, Any], now: date) -> dict[str, str]:
    """Error texts by parameter."""
    wrong = {}
    earliest = now - timedelta(days=KEPT_DAYS - 1)
    if "days" in query:
        wrong["days"] = "Give either days, or from and to."
    if "first" not in query:
        wrong["from"] = "Must be given with to."
    for parameter, name in (("from", "first"), ("to", "last")):
        if not earliest <= query.get(name, now) <= now:
            wrong[parameter] = f"Must be between {earliest} and today, {now} in UTC."
    if not wrong and query["first"] > query.get("last", now):
        wrong["from"] = "Must not be after to."
    return wrong
