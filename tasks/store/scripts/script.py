"""Loads Lua scripts and knows which records hold their arguments."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Generic, TypeVar

LUA = Path(__file__).parents[2] / "lua"

INCLUDES = ("prelude", "series", "units", "webhooks", "finish")

Arg = str | int | bytes

# Both are records (named tuples), or plain sequences where a script takes a plain list.
Args = TypeVar("Args", bound=Sequence[Arg])
Row = TypeVar("Row", bound=Sequence[Arg])


class Script(Generic[Args, Row]):
    """One atomic operation: its Lua file behind the includes that all scripts share.

    args: the record of the arguments that stand once. rows: records that may repeat behind them.
    tests/tasks/store/test_scripts.py holds their fields and the names in the Lua file together.
    """

    def __init__(self, name: str, args: type[Args], *rows: type[Row]) -> None:
        self.name = name
        self.args = args
        self.rows = rows
        parts = (*(f"includes/{include}" for include in INCLUDES), name)
        self.text = "".join((LUA / f"{part}.lua").read_text() for part in parts)
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
