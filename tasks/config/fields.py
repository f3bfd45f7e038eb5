"""Fields of `tasks.config.settings`: how each is read from the environment and validated."""

from __future__ import annotations

import base64
import dataclasses
import re
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

from marshmallow import ValidationError, fields
from marshmallow.validate import Length, Range


class WordList(fields.Field[list[str]]):
    """A comma-separated list of words."""

    def _deserialize(self, value: str, *_: Any, **__: Any) -> list[str]:
        return [word.strip() for word in value.split(",") if word.strip()]


class Networks(WordList):
    """A comma-separated list of networks in CIDR notation (RFC 4632) or single addresses."""

    def _deserialize(self, value: str, *_: Any, **__: Any) -> list[str]:
        networks = super()._deserialize(value)
        for network in networks:
            try:
                ip_network(network)
            except ValueError as error:
                raise ValidationError(
                    f"Must be networks such as 10.0.0.0/8 or ::1, separated by commas: {error}."
                ) from None
        return networks


def origins(given: list[str]) -> None:
    """Validate origins as browsers send them (RFC 6454), or a single *."""
    origin = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
    if given != ["*"] and not all(map(origin.fullmatch, given)):
        raise ValidationError(
            "Must be * or origins such as https://app.example.com, in lower case and without a "
            "path, separated by commas."
        )


class Counts(WordList):
    """A comma-separated list of whole numbers, one or more."""

    def __init__(self, low: int, high: int) -> None:
        super().__init__(validate=Length(min=1))
        self._number = fields.Integer(validate=Range(low, high))

    def _deserialize(self, value: str, *args: Any, **kwargs: Any) -> list[Any]:
        words = super()._deserialize(value, *args, **kwargs)
        return [self._number.deserialize(word) for word in words]


def import_paths(given: list[str]) -> None:
    """Validate import paths such as package.module:attribute."""
    path = re.compile(r"[\w.]+:\w+")
    if wrong := [target for target in given if not path.fullmatch(target)]:
        raise ValidationError(f"Must look like package.module:attribute, unlike {wrong[0]!r}.")


def read_from(env: str, field: fields.Field[Any], default: Any = dataclasses.MISSING) -> Any:
    """A dataclass field that is read from the variable `env` by a marshmallow field."""
    return dataclasses.field(default=default, metadata={"env": env, "field": field})


def secret(env: str) -> Any:
    """A required secret of at least 16 characters."""
    field = fields.String(required=True, validate=Length(min=16))
    return dataclasses.field(repr=False, metadata={"env": env, "field": field, "secret": True})


def optional_secret(env: str, field: fields.Field[Any]) -> Any:
    """A secret that need not be set."""
    metadata = {"env": env, "field": field, "secret": True}
    return dataclasses.field(default=None, repr=False, metadata=metadata)


def sentry_dsn(value: str) -> None:
    """Validate a DSN as Sentry's SDK does, which would fail with a traceback."""
    parts = urlsplit(value)
    if not parts.username or not parts.path.rpartition("/")[2].isdigit():
        raise ValidationError("Must look like https://KEY@HOST/NUMBER, as Sentry shows it.")


def signing_secret(env: str) -> Any:
    """An optional secret in the form of https://www.standardwebhooks.com."""
    field = fields.String(validate=_must_sign)
    metadata = {"env": env, "field": field, "secret": True}
    return dataclasses.field(default=None, repr=False, metadata=metadata)


def _must_sign(value: str) -> None:
    prefix, _, encoded = value.partition("_")
    try:
        key = base64.b64decode(encoded, validate=True)
    except ValueError:
        key = b""
    if prefix != "whsec" or not 24 <= len(key) <= 64:
        raise ValidationError("Must be whsec_ followed by base64 of 24 to 64 bytes.")


def count(env: str, default: int, low: int = 1, high: int = 2**31) -> Any:
    """A whole number from `low` to `high`."""
    return read_from(env, fields.Integer(validate=Range(low, high)), default)


def optional_count(env: str, low: int = 1, high: int = 2**31) -> Any:
    """A whole number that need not be set."""
    return read_from(env, fields.Integer(validate=Range(low, high)), None)


def share(env: str, default: float) -> Any:
    """A number from 0 to 1."""
    return read_from(env, fields.Float(validate=Range(0, 1)), default)


def price(env: str) -> Any:
    """An optional amount of money, 0 or more."""
    return read_from(env, fields.Float(validate=Range(0)), None)
