"""Finds references to files, modules and Makefile targets in the repository, and checks them.

It reads documents and configuration files whole, and the docstrings and comments of code. A
reference is a path from the root (`tasks/store/keys.py`, `app/http/`), the end of one
(`delivery/request.py`, `claim.lua`), a dotted name (`tasks.queue.consumer`, `app.wsgi:app`), the
argument of `python -m` or `make`, or a Markdown link with its anchor.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

ROOTS: Final = (
    *("app", "tasks", "ml", "tests", "bench", "deploy", "examples", "docs", "models"),
    *(".ci", ".github"),
)
PACKAGES: Final = ("app", "tasks", "ml", "tests", "bench", "deploy", "examples")
HISTORY: Final = "CHANGELOG.md"  # names what was there at the time; only its links are checked
_SKIPPED: Final = ("LICENSE", "docs/openapi.json", "tests/test_references.py")
_WHOLE: Final = {".md", ".yml", ".yaml", ".toml", ".conf", ".txt", ".example", ""}
_COMMENT: Final = {".lua": re.compile(r"--(.*)"), ".js": re.compile(r"(?:^|\s)//(.*)")}

_SEGMENT = r"[\w.*{}<>-]+"
_PATH = re.compile(
    rf"(?<![\w./@:-])(?:\./)?((?:{'|'.join(map(re.escape, ROOTS))})/[\w./*{{}}<>-]*)"
)
_FILE = re.compile(rf"(?<![\w./*{{}}<>-])((?:{_SEGMENT}/)*[\w-]+\.(?:py|lua))(?![\w-])")
_DOTTED = re.compile(
    rf"(?<![\w./@-])((?:{'|'.join(PACKAGES)})(?:\.[A-Za-z_]\w*)+(?::\w+)?)(?![\w/-])"
)
_PROGRAM = re.compile(rf"-m ((?:{'|'.join(PACKAGES)})(?:\.\w+)*)")
_TARGET = re.compile(r"(?:`make |entry: make |^make (?=[a-z-]+ *(?:#|$|[A-Z]+=)))([a-z][a-z-]*)")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_PAGE = re.compile(r"docs/[\w/-]+\.md")
_BEGINNINGS: Final = {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING}
_BETWEEN: Final = {tokenize.COMMENT, tokenize.NL}
_SUFFIXES: Final = {"py", "lua", "md", "json", "toml", "yml", "js", "conf", "csv", "png"}


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference to a file, module or target. file: where it was found, a path from the root."""

    file: str
    line: int
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.kind} {self.name}"


@dataclass(frozen=True)
class Repository:
    """The files below `root`, the references in them, and whether each is right."""

    root: Path
    found: dict[Path, frozenset[str]] = field(default_factory=dict)

    @cached_property
    def files(self) -> tuple[str, ...]:
        """Paths, from the root, of the files in the root and below `ROOTS`."""
        inside = (p for name in ROOTS for p in (self.root / name).rglob("*"))
        kept = [p for p in (*self.root.iterdir(), *inside) if p.is_file()]
        return tuple(
            sorted(str(p.relative_to(self.root)) for p in kept if "__pycache__" not in p.parts)
        )

    @cached_property
    def _ends(self) -> frozenset[str]:
        """Every end of a path that begins at a slash: `delivery/request.py`, `request.py`."""
        parts = (file.split("/") for file in self.files)
        return frozenset("/".join(p[n:]) for p in parts for n in range(len(p)))

    @cached_property
    def _targets(self) -> frozenset[str]:
        makefile = self.root / "Makefile"
        return frozenset(re.findall(r"^([a-z][a-z-]*):", makefile.read_text(), re.MULTILINE))

    def missing(self) -> list[Reference]:
        """All references to something that does not exist."""
        return [r for file in self.files for r in self.references(file) if not self.exists(r)]

    def references(self, file: str) -> Iterator[Reference]:
        """All references in one file."""
        for line, text in self._prose(file):
            for kind, name in _in_text(text, file):
                yield Reference(file, line, kind, name)

    def exists(self, reference: Reference) -> bool:
        """Whether the thing that the reference names exists."""
        name = reference.name
        match reference.kind:
            case "link":
                return self._link_exists(reference.file, name)
            case "path":
                return "{" in name or "<" in name or any(self.root.glob(name))
            case "file":
                return name in self._ends
            case "program":
                path = self.root / name.replace(".", "/")
                return path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()
            case "target":
                return name in self._targets
        return self._is_defined(name.replace(":", ".").split("."))

    def _prose(self, file: str) -> Iterator[tuple[int, str]]:
        """The lines to read of a file, with their numbers."""
        path = self.root / file
        if file in _SKIPPED or file.startswith("models/"):
            return
        if path.suffix == ".py":
            yield from _python_prose(path.read_text(encoding="utf-8"))
        elif comment := _COMMENT.get(path.suffix):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                if found := comment.search(line):
                    yield number, found[1]
        elif path.suffix in _WHOLE or path.name.startswith("."):
            yield from enumerate(path.read_text(encoding="utf-8").splitlines(), 1)

    def _link_exists(self, file: str, target: str) -> bool:
        name, _, anchor = target.partition("#")
        path = (self.root / file).parent / name if name else self.root / file
        if not path.exists():
            return False
        return not anchor or anchor in _anchors(path.read_text(encoding="utf-8"))

    def _is_defined(self, parts: list[str]) -> bool:
        """Whether the longest prefix is a module and the rest, if any, is defined there."""
        for length in range(len(parts), 0, -1):
            path = self.root.joinpath(*parts[:length])
            for module in (path.with_suffix(".py"), path / "__init__.py"):
                if module.is_file():
                    rest = parts[length:]
                    return not rest or rest[0] in self._names(module)
        return self.root.joinpath(*parts).is_dir()

    def _names(self, module: Path) -> frozenset[str]:
        if module not in self.found:
            self.found[module] = frozenset(_defined(ast.parse(module.read_text(encoding="utf-8"))))
        return self.found[module]


def _in_text(text: str, file: str) -> Iterator[tuple[str, str]]:
    """Kind and name of each reference in a line."""
    if file.endswith(".md"):
        links = (link for link in _LINK.findall(text) if not re.match(r"[a-z]+:", link))
        yield from (("link", link) for link in links)
        text = _LINK.sub(lambda found: found[0].partition("](")[0], text)
    if file == HISTORY:
        return
    paths = {name.rstrip(".-") for name in _PATH.findall(text)}
    yield from (("path", name) for name in sorted(paths))
    yield from (("file", name) for name in _FILE.findall(text) if name not in paths)
    yield from (("program", name) for name in _PROGRAM.findall(text))
    yield from (("target", name) for name in _TARGET.findall(text))
    dotted = (name for name in _DOTTED.findall(text) if name.rpartition(".")[2] not in _SUFFIXES)
    yield from (("name", name) for name in dotted)


def _python_prose(source: str) -> Iterator[tuple[int, str]]:
    """Comments and docstrings by line, and documents that other strings name."""
    begins = True  # whether the next token begins a statement: a string there is a docstring
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
        elif token.type == tokenize.STRING:
            for number, line in enumerate(token.string.splitlines(), token.start[0]):
                yield from ((number, text) for text in ([line] if begins else _PAGE.findall(line)))
        if token.type not in _BETWEEN:
            begins = token.type in _BEGINNINGS


def _defined(tree: ast.Module) -> Iterator[str]:
    """Names that a module's top level defines or imports."""
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.ClassDef(name=name):
                yield name
            case ast.Assign(targets=targets):
                yield from (t.id for t in targets if isinstance(t, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from (alias.asname or alias.name for alias in names)


def _anchors(markdown: str) -> Mapping[str, None]:
    """The anchors of headings as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", markdown, re.MULTILINE)
    return dict.fromkeys(
        re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings
    )
