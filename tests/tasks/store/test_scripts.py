"""Lua scripts name their arguments as the records of Python do, and include what they use."""

from __future__ import annotations

import importlib
import pkgutil
import re
from typing import Any

import pytest

from tasks.store import scripts
from tasks.store.scripts.script import LUA, Script, parts_of

# The names of the arguments that stand once, each on a line of its own at the top:
#     local deadline_ms = tonumber(ARGV[5]) -- from now; 0: none
HEAD = re.compile(r"^local (\w+) = (?:tonumber\()?ARGV\[(\d+)\]\)?(?: == '1')?(?: --.*)?$", re.M)
# A plain list of what stands behind them:
#     local lanes = arguments(6)
LIST = re.compile(r"^local \w+ = arguments\((\d+)(?: \+ \w+)?(?:, \d+ \+ \w+)?\)(?: --.*)?$", re.M)
# The position of the first row that may repeat, and the number of its fields:
#     local FIRST_UNIT, UNIT_FIELDS = 23, 3
ROWS = re.compile(r"^local FIRST_\w+, \w+_FIELDS = (\d+|FIRST_UNIT \+ .*), (\d+)$", re.M)
# The names of a row's fields:
#     local items, payload_bytes, payload = unpack(ARGV, i, i + 2)
ROW = re.compile(r"local ([\w\s,]+?)\s*= unpack\(ARGV, i, i \+ (\d+)\)")
COMMENT = re.compile(r"--.*$", re.M)
# What the top level of a file declares.
DECLARED = re.compile(r"^local (?:function )?([\w, ]+)", re.M)
STRING = re.compile(r"'[^'\n]*'")

INCLUDES = sorted(path.stem for path in (LUA / "includes").glob("*.lua"))


def known_scripts() -> dict[str, Script[Any, Any]]:
    """The scripts that Python can run, by the path of their Lua file."""
    modules = (one.name for one in pkgutil.iter_modules(scripts.__path__, f"{scripts.__name__}."))
    members = (value for name in modules for value in vars(importlib.import_module(name)).values())
    return {found.name: found for found in members if isinstance(found, Script)}


SCRIPTS = known_scripts()
NAMES = sorted(
    str(path.relative_to(LUA).with_suffix(""))
    for path in LUA.rglob("*.lua")
    if path.parent.name != "includes"
)


def text_of(name: str) -> str:
    return (LUA / f"{name}.lua").read_text()


def rows_of(text: str) -> list[list[str]]:
    found = [(names.replace("\n", " "), count) for names, count in ROW.findall(text)]
    rows = [([name.strip() for name in names.split(",")], int(count)) for names, count in found]
    assert all(len(names) == last + 1 for names, last in rows)
    return [names for names, _ in rows]


def test_every_lua_file_is_a_known_script() -> None:
    assert sorted(SCRIPTS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_script_names_its_arguments_as_their_record_does(name: str) -> None:
    found = HEAD.findall(text_of(name))
    assert tuple(argument for argument, _ in found) == SCRIPTS[name].args._fields
    assert [int(position) for _, position in found] == list(range(1, len(found) + 1))


@pytest.mark.parametrize("name", NAMES)
def test_a_script_names_the_fields_of_its_rows_as_their_records_do(name: str) -> None:
    text = COMMENT.sub("", text_of(name))
    fields = [list(row._fields) for row in SCRIPTS[name].rows]
    assert rows_of(text) == fields
    positions = ROWS.findall(text)
    assert [int(count) for _, count in positions] == [len(names) for names in fields]


@pytest.mark.parametrize("name", NAMES)
def test_what_may_repeat_begins_behind_the_arguments_that_stand_once(name: str) -> None:
    text = COMMENT.sub("", text_of(name))
    first = [int(start) for start, _ in ROWS.findall(text)[:1]]
    lists = [int(start) for start in LIST.findall(text)[:1]]
    assert first + lists in ([], [len(SCRIPTS[name].args._fields) + 1])


@pytest.mark.parametrize("name", NAMES)
def test_below_its_top_a_script_uses_names_alone(name: str) -> None:
    rest = COMMENT.sub("", HEAD.sub("", text_of(name)))
    rest = ROW.sub("", rest).replace("#ARGV", "")
    assert "ARGV" not in rest


@pytest.mark.parametrize("name", NAMES)
def test_arguments_are_named_before_anything_is_done(name: str) -> None:
    text = COMMENT.sub("", text_of(name))
    places = [found.start() for found in HEAD.finditer(text)]
    before = re.search(r"redis\.(call|pcall)|^local function|^(if|for|while) ", text, re.M)
    assert before is None or all(place < before.start() for place in places)


def declared_by(include: str) -> set[str]:
    """What the others may use of an include."""
    return {
        name.strip()
        for names in DECLARED.findall(text_of(f"includes/{include}"))
        for name in names.split(",")
    }


def used_by(part: str) -> set[str]:
    return set(
        re.findall(r"(?<![.\w])\w+(?!\s*=[^=])", STRING.sub("", COMMENT.sub("", text_of(part))))
    )


@pytest.mark.parametrize("name", [*NAMES, *(f"includes/{include}" for include in INCLUDES)])
def test_what_a_script_uses_of_an_include_it_includes(name: str) -> None:
    own = {name.strip() for names in DECLARED.findall(text_of(name)) for name in names.split(",")}
    used = used_by(name) - own
    needed = {f"includes/{one}" for one in INCLUDES if declared_by(one) & used} - {name}
    assert needed <= set(parts_of(name))
