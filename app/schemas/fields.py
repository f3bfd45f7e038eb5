"""marshmallow fields that accept only their own JSON type, without conversion."""

from __future__ import annotations

from typing import Any

from marshmallow import fields


class StrictString(fields.String):
    """A string; numbers and lists are not converted."""

    default_error_messages = {  # noqa: RUF012 - marshmallow's own convention
        "invalid": "Must be a string.",
        "null": "Must be a string.",
    }

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        return super()._deserialize(value, *args, **kwargs)


class StrictInteger(fields.Integer):
    """An integer; neither "7" nor 7.5 nor true. As in JSON Schema and JavaScript, 7.0 is 7."""

    default_error_messages = {  # noqa: RUF012 - marshmallow's own convention
        "invalid": "Must be an integer."
    }

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> int:
        if type(value) is float and value.is_integer():
            return int(value)
        if type(value) is not int:
            raise self.make_error("invalid")
        return value


class StrictFloat(fields.Float):
    """A finite number; neither "0.7" nor true."""

    default_error_messages = {  # noqa: RUF012 - marshmallow's own convention
        "invalid": "Must be a number."
    }

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> float:
        if type(value) not in (int, float):
            raise self.make_error("invalid")
        return float(super()._deserialize(value, *args, **kwargs))


class StrictBoolean(fields.Boolean):
    """true or false; neither "yes" nor 1."""

    default_error_messages = {  # noqa: RUF012 - marshmallow's own convention
        "invalid": "Must be true or false."
    }

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid")
        return value
