"""No document, comment or Makefile target names a file, module or target that does not exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.references import Repository

ROOT = Path(__file__).parent.parent
RUNBOOK = ROOT / "docs" / "runbook.md"


def test_every_name_in_documents_and_comments_exists() -> None:
    missing = Repository(ROOT).missing()
    assert not missing, "These references name nothing that exists:\n" + "\n".join(
        map(str, missing)
    )


def test_the_log_messages_that_the_runbook_searches_for_exist() -> None:
    searches = re.findall(r"grep [^'`]*'([^']+)'[^`]*var/log", RUNBOOK.read_text(encoding="utf-8"))
    messages = {text for search in searches for text in search.split("|")}
    assert len(messages) >= 8
    code = "".join(
        path.read_text(encoding="utf-8")
        for p in ("app", "tasks")
        for path in (ROOT / p).rglob("*.py")
    )
    assert not {text for text in messages if text not in code}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A small repository whose README.md each test writes."""
    for name, text in {
        "tasks/__init__.py": "",
        "tasks/queue/__init__.py": "",
        "tasks/queue/consumer.py": "class Consumer: ...\nTRIES = 3\n",
        "tasks/lua/queue/claim.lua": "-- see consumer.py\n",
        "docs/page.md": "# A page, with `code`\n",
        "Makefile": "check:\n\ttrue\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return Repository(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "`tasks/queue/consumer.py`, tasks/queue/ and tasks/lua/*/claim.lua.",
        "`consumer.py` runs `queue/claim.lua`.",
        "`tasks.queue.consumer`, `tasks.queue.consumer.Consumer` and `tasks.queue.consumer:TRIES`",
        "`python -m tasks.queue.consumer`, then `make check`",
        "[a page](docs/page.md), [its heading](docs/page.md#a-page-with-code)",
        "https://example.com/app/none.py and user@app.none are elsewhere",
    ],
)
def test_a_name_of_something_that_exists_passes(repository: Repository, text: str) -> None:
    (repository.root / "README.md").write_text(text)
    assert repository.missing() == []


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("see tasks/queue/none.py.", "path tasks/queue/none.py"),
        ("see tasks/none/", "path tasks/none/"),
        ("`none.lua` does", "file none.lua"),
        ("`lua/consumer.py` does", "file lua/consumer.py"),
        ("`tasks.queue.none`", "name tasks.queue.none"),
        ("`tasks.queue.consumer.None_`", "name tasks.queue.consumer.None_"),
        ("`tasks.queue.consumer:none`", "name tasks.queue.consumer:none"),
        ("`python -m tasks.queue`", "program tasks.queue"),
        ("`make none`", "target none"),
        ("[x](docs/none.md)", "link docs/none.md"),
        ("[x](docs/page.md#none)", "link docs/page.md#none"),
    ],
)
def test_a_name_of_nothing_is_reported_with_file_and_line(
    repository: Repository, text: str, missing: str
) -> None:
    (repository.root / "README.md").write_text(f"First line.\n{text}\n")
    assert [str(r) for r in repository.missing()] == [f"README.md:2: {missing}"]


@pytest.mark.parametrize(
    ("file", "text", "line"),
    [
        ("app/code.py", '"""First.\n\nSee none.py.\n"""\n', 3),
        ("app/code.py", "X = 1  # see none.py\n", 1),
        ("app/code.py", 'class C:\n    x: int\n    """See none.py."""\n', 3),
        ("app/code.py", 'class C:\n    def f(self):\n        """See none.py."""\n', 3),
        ("tasks/lua/one.lua", "local x = 1 -- see none.py\n", 1),
        ("app/page.js", "// see none.py\n", 1),
        ("Procfile", "web: python none.py\n", 1),
        (".ci/run", "python none.py\n", 1),
    ],
)
def test_docstrings_comments_and_configuration_are_read(
    repository: Repository, file: str, text: str, line: int
) -> None:
    (repository.root / file).parent.mkdir(parents=True, exist_ok=True)
    (repository.root / file).write_text(text)
    assert [str(r) for r in repository.missing()] == [f"{file}:{line}: file none.py"]


def test_of_other_strings_only_names_of_documents_are_read(repository: Repository) -> None:
    (repository.root / "tasks" / "code.py").write_text("A = 'none.py'\nB = 'see docs/none.md'\n")
    assert [str(r) for r in repository.missing()] == ["tasks/code.py:2: path docs/none.md"]


def test_the_changelog_may_name_what_is_gone_but_its_links_must_work(
    repository: Repository,
) -> None:
    (repository.root / "CHANGELOG.md").write_text("`none.py` is gone, [x](docs/none.md)\n")
    assert [str(r) for r in repository.missing()] == ["CHANGELOG.md:1: link docs/none.md"]
