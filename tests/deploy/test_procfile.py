"""The Procfile is read as it stands, or refused with the line that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.local import procfile
from deploy.local.errors import RunnerError

ROOT = Path(__file__).parents[2]


def read(tmp_path: Path, text: str) -> dict[str, str]:
    path = tmp_path / "Procfile"
    path.write_text(text)
    return procfile.read(path)


def test_processes_come_in_the_order_of_their_lines(tmp_path: Path) -> None:
    text = "# what runs\n\nweb: python -m app\ngpu-worker:   python -m tasks.worker 'gpu lane'\n"
    assert list(read(tmp_path, text).items()) == [
        ("web", "python -m app"),
        ("gpu-worker", "python -m tasks.worker 'gpu lane'"),
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("web python -m app", "Procfile:1: 'web python -m app' is not of the form 'name: command'"),
        ("a b: true", "is not of the form"),
        ("web: true\nweb: false", "Procfile:2: there is already a process 'web'"),
        ("redis: redis-server", "'redis' is the name of one of the runner's own processes"),
        ("web: python --port=$PORT", "Procfile:1: $ is not allowed in a command"),
        ("web: true ; false", "; is not allowed"),
        ("web: date +%s", "% is not allowed"),
        ("# nothing\n", "Procfile names no process"),
    ],
)
def test_a_line_that_cannot_be_run_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(RunnerError) as error:
        read(tmp_path, text)
    assert problem in str(error.value)


def test_a_missing_file_says_where_to_stand(tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match="run this from the root of the repository"):
        procfile.read(tmp_path / "Procfile")


def test_the_repositorys_own_file_can_be_run() -> None:
    assert list(procfile.read(ROOT / "Procfile")) == [
        "web",
        "gpu-worker",
        "cpu-worker",
        "webhooks-worker",
        "flower",
    ]
