"""Loads Lua scripts with what they include, and knows which records hold their arguments."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Generic, TypeVar

LUA = Path(__file__).parents[2] / "lua"

INCLUDE = re.compile(r"^-- include: (.+)$", re.MULTILINE)

Arg = str | int | bytes

# Both are records (named tuples), or plain sequences where a script takes a plain list.
Args = TypeVar("Args", bound=Sequence[Arg])
Row = TypeVar("Row", bound=Sequence[Arg])


class Script(Generic[Args, Row]):
    """One atomic operation: its Lua file behind the files of tasks/lua/includes that it needs.

    args: the record of the arguments that stand once. rows: records that may repeat behind them.
    tests/tasks/store/test_scripts.py holds their fields and the names in the Lua file together.
    """

    def __init__(self, name: str, args: type[Args], *rows: type[Row]) -> None:
        self.name = name
        self.args = args
        self.rows = rows
        self.text = "".join((LUA / f"{part}.lua").read_text() for part in parts_of(name))
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


def parts_of(name: str) -> list[str]:
    """A Lua file and what it includes, each once and behind what it includes itself.

    A script creates the functions of all its parts anew each time that it runs, so it includes no
    more than it needs.
    """
    parts = ["includes/prelude"]
    _add_parts(name, parts)
    return parts


def _add_parts(name: str, parts: list[str]) -> None:
    for names in INCLUDE.findall((LUA / f"{name}.lua").read_text()):
        for include in names.split(", "):
            if f"includes/{include}" not in parts:
                _add_parts(f"includes/{include}", parts)
    parts.append(name)
