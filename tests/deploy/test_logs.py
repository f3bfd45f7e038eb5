"""Log files are followed from the start of the run on, and explain what failed in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.logs import LogFile, Logs


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_only_what_is_added_is_read_and_only_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "web.log"
    append(path, "an earlier run\n")
    log = LogFile(path)
    assert log.new_lines() == []
    append(path, "one\ntw")
    assert log.new_lines() == ["one"]
    append(path, "o\n")
    assert log.new_lines() == ["two"]
    assert log.tail(1) == ["two"]
    assert log.tail(9) == ["one", "two"]
    log.close()


def test_a_file_that_is_made_later_is_read_from_its_beginning(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "web.log")
    assert log.new_lines() == []
    assert log.tail(1) == []
    append(tmp_path / "web.log", "one\n")
    assert log.new_lines() == ["one"]
    log.close()


def test_no_line_is_lost_when_the_file_is_rotated(tmp_path: Path) -> None:
    path = tmp_path / "web.log"
    append(path, "long before this run\n")
    log = LogFile(path)
    append(path, "one\n")
    assert log.new_lines() == ["one"]
    append(path, "two\n")
    path.rename(tmp_path / "web.log.1")
    append(path, "three\n")
    assert log.new_lines() == ["two", "three"]
    assert log.tail(9) == ["three"]
    log.close()


def test_bytes_that_are_no_text_do_not_stop_it(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "web.log")
    (tmp_path / "web.log").write_bytes(b"\xff\n")
    assert log.new_lines() == ["\N{REPLACEMENT CHARACTER}"]
    log.close()


NAMES = ("supervisor", "web", "gpu-worker")


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[Logs]:
    append(tmp_path / "web.log", "an earlier run\n")
    logs = Logs({name: tmp_path / f"{name}.log" for name in NAMES}, shown=NAMES[1:])
    yield logs
    logs.close()


def test_each_line_to_be_shown_is_printed_once_behind_the_name_of_its_process(
    logs: Logs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    append(tmp_path / "supervisor.log", "not shown\n")
    append(tmp_path / "web.log", "one\n")
    logs.print_new()
    append(tmp_path / "gpu-worker.log", "two\n")
    logs.print_new()
    assert capsys.readouterr().out == "web        | one\ngpu-worker | two\n"


def test_the_logs_of_those_that_ended_explain_a_failure(logs: Logs, tmp_path: Path) -> None:
    append(tmp_path / "web.log", "all is well\n")
    append(tmp_path / "gpu-worker.log", "".join(f"line {n}\n" for n in range(100)))
    ended = "WARN exited: gpu-worker (exit status 1; not expected)"
    append(tmp_path / "supervisor.log", ended + "\n")
    last = [f"line {n}" for n in range(80, 100)]
    assert logs.exits() == {"gpu-worker": 1}
    assert logs.explain().splitlines() == [
        "--- last lines of supervisor",
        ended,
        "--- last lines of gpu-worker",
        *last,
    ]


def test_if_none_ended_all_logs_of_this_run_explain(logs: Logs, tmp_path: Path) -> None:
    append(tmp_path / "gpu-worker.log", "waiting for Redis\n")
    assert logs.explain() == "--- last lines of gpu-worker\nwaiting for Redis"
