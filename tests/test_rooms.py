"""Every module of app, tasks and ml stands in a room, and the rooms stay small.

A room is a folder or a root module that is a layer of a contract in pyproject.toml (import-linter);
`make check` holds the order of imports between rooms. docs/architecture.md shows them all.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("app", "tasks", "ml")
LINKS = Path("tasks/webhooks/links.py")  # documents that workers send link to the API
MOST_MODULES = 12
ENTRIES = {"__init__", "__main__"}  # what Python finds by name, in no layer


def rooms_of(package: str) -> set[str]:
    """The layers of the package's contract; several on one line are separated by | or :."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for contract in settings["tool"]["importlinter"]["contracts"]:
        if contract["type"] == "layers" and contract.get("containers") == [package]:
            line = " ".join(contract["layers"])
            return set(line.replace("|", " ").replace(":", " ").split())
    raise AssertionError(f"pyproject.toml has no contract with the rooms of {package} as layers")


def folders_of(package: str) -> list[Path]:
    """The folders below a package that hold modules."""
    return sorted({path.parent for path in (ROOT / package).rglob("*.py")})


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_stands_in_a_room(package: str) -> None:
    rooms = rooms_of(package) | ENTRIES
    paths = [path.relative_to(ROOT / package) for path in (ROOT / package).rglob("*.py")]
    outside = sorted(f"{package}/{path}" for path in paths if Path(path.parts[0]).stem not in rooms)
    assert not outside, f"No layer of pyproject.toml's contract for {package} holds {outside}"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_room_exists(package: str) -> None:
    gone = [
        room
        for room in sorted(rooms_of(package))
        if not (ROOT / package / room).is_dir() and not (ROOT / package / f"{room}.py").is_file()
    ]
    assert not gone, f"pyproject.toml's contract for {package} names {gone}, which do not exist"


@pytest.mark.parametrize("package", PACKAGES)
def test_no_folder_has_more_than_twelve_modules(package: str) -> None:
    sizes = {
        str(folder.relative_to(ROOT)): len([*folder.glob("*.py")]) - 1  # without __init__.py
        for folder in folders_of(package)
    }
    full = {folder: size for folder, size in sizes.items() if size > MOST_MODULES}
    assert not full, f"More than {MOST_MODULES} modules: {full}"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_folder_says_what_lives_in_it_and_nothing_else(package: str) -> None:
    for folder in folders_of(package):
        file = folder / "__init__.py"
        assert file.is_file(), f"{folder.relative_to(ROOT)} has modules and no __init__.py"
        tree = ast.parse(file.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), f"{file.relative_to(ROOT)} needs a docstring"
        assert len(tree.body) == 1, f"{file.relative_to(ROOT)} must be a docstring and nothing else"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_and_public_class_and_function_has_a_docstring(package: str) -> None:
    bare = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for name in undocumented(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not bare, f"Without a docstring: {bare}"


def undocumented(tree: ast.Module) -> Iterator[str]:
    """Names of a module's public classes and functions without a docstring, and of itself."""
    if not ast.get_docstring(tree):
        yield "the module"
    for node in tree.body:
        if (
            isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
            and not node.name.startswith("_")
            and not ast.get_docstring(node)
        ):
            yield node.name


# A path of this API, other than that of OTLP, in a text of the code.
API_PATH = re.compile(r"/v1/(?!traces\b)")
COMMAND = re.compile(r"\bflask \w+")


@pytest.mark.parametrize("package", ["tasks", "ml"])
def test_below_app_only_the_links_of_webhooks_name_paths_or_commands(package: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted((ROOT / package).rglob("*.py"))
        if path.relative_to(ROOT) != LINKS
        for line, text in texts_of(ast.parse(path.read_text(encoding="utf-8")))
        if API_PATH.search(text) or COMMAND.search(text)
    ]
    assert not found, f"Paths and commands belong to app/: {found}"


def texts_of(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and text of all strings of a module but docstrings."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.lineno, node.value
