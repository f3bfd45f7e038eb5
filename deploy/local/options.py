"""Settings of the runner itself; those of the processes are in `tasks/config/settings.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields
from marshmallow.validate import OneOf, Range

from deploy.local.errors import RunnerError


class OptionsSchema(Schema):
    """Schema of the runner's environment variables. `.env.example` explains each one."""

    var = fields.String(data_key="PENSTOCK_VAR", load_default="var")
    detach = fields.Boolean(data_key="DETACH", load_default=False)
    up_timeout_s = fields.Integer(
        data_key="PENSTOCK_UP_TIMEOUT_S", load_default=180, validate=Range(1, 86_400)
    )
    appendfsync = fields.String(
        data_key="REDIS_APPENDFSYNC", load_default="always", validate=OneOf(["always", "everysec"])
    )
    maxmemory_bytes = fields.Integer(
        data_key="REDIS_MAXMEMORY_BYTES", load_default=2**31, validate=Range(0, 2**50)
    )
    webhook_demo = fields.Boolean(data_key="WEBHOOK_DEMO", load_default=False)
    webhook_demo_port = fields.Integer(
        data_key="WEBHOOK_DEMO_PORT", load_default=8099, validate=Range(1, 65_535)
    )


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of one instance on this machine."""

    var: Path
    """Folder of all files of the instance: keys, data, logs. Absolute."""
    detach: bool
    up_timeout_s: int
    appendfsync: str
    maxmemory_bytes: int
    webhook_demo: bool
    webhook_demo_port: int

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Options:
        """Read the options.

        Raises:
            RunnerError: a variable is wrong; all of them are named at once.
        """
        values = {name: value for name, value in env.items() if value != ""}
        try:
            loaded: dict[str, Any] = OptionsSchema().load(values, unknown=EXCLUDE)
        except ValidationError as error:
            wrong: dict[str, list[str]] = dict(error.messages_dict)
            raise RunnerError(
                "\n".join(
                    f"{name}={values[name]!r} is not valid: {' '.join(messages)}"
                    for name, messages in sorted(wrong.items())
                )
            ) from None
        return cls(**{**loaded, "var": var_folder(env)})


def var_folder(env: Mapping[str, str]) -> Path:
    """Return the absolute PENSTOCK_VAR, the only option that stopping an instance needs.

    Raises:
        RunnerError: it has a character that supervisord's configuration cannot hold.
    """
    var = Path(env.get("PENSTOCK_VAR") or "var").resolve()
    if wrong := sorted(c for c in set(str(var)) if c in "%;#" or not c.isprintable()):
        raise RunnerError(
            f"PENSTOCK_VAR={str(var)!r} is not valid: no {' '.join(map(repr, wrong))} is allowed."
        )
    return var


def make_down(var: Path) -> str:
    """Return the shell command that stops the instance in `var`."""
    return "make down" if var == var_folder({}) else f"PENSTOCK_VAR={quote(str(var))} make down"
