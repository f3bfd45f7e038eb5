"""`up` and `down` from outside, with real signals, a real Redis and stand-ins for the rest."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from deploy.local import dev_env, processes
from deploy.local.first_job import TEXT
from tests.deploy.installation import PATIENCE_S, PROCESSES, STUB, Installation, eventually


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Installation]:
    installation = Installation(tmp_path, tmp_path / "my var")
    yield installation
    processes.kill(installation.var)


def test_up_proves_itself_by_a_real_answer_and_down_leaves_no_process(here: Installation) -> None:
    status, output = here.up()
    assert status == 0, output
    assert f'"{TEXT}"' in output
    answer = "label block, action review, confidence 0.88, tier stub, model version v-stub"
    assert answer in output
    assert f"API     http://127.0.0.1:{here.web_port}\n" in output
    assert f"Flower  http://127.0.0.1:{here.flower_port}\n" in output
    assert f"Keys    {here.var}/dev.env" in output
    assert "Docs" not in output  # the stand-in has no such page
    assert {m.program for m in here.members()} == set(PROCESSES)

    status, output = here.down()
    assert status == 0, output
    assert here.members() == []
    assert f"text {TEXT}" in here.events()
    assert here.down() == (0, f"Nothing runs in {here.var}.\n")


def test_a_second_start_finds_keys_and_data_of_the_first(here: Installation) -> None:
    assert here.up()[0] == 0
    keys = here.keys()
    with here.redis() as client:
        client.set("kept", "yes")
    here.down()
    assert here.up()[0] == 0
    assert here.keys() == keys
    with here.redis() as client:
        assert client.get("kept") == "yes"


def test_secrets_are_in_no_log_no_command_line_and_no_file_that_others_can_read(
    here: Installation,
) -> None:
    assert here.up()[0] == 0
    secrets = [v for k, v in here.keys().items() if k in dev_env.SECRETS and k != "FLOWER_USER"]
    shown = [" ".join(m.process.cmdline()) for m in here.members()]
    here.down()
    private = {here.var / "dev.env", here.var / "redis" / "redis.conf"}
    files = {path for path in here.var.rglob("*") if path.is_file()}
    assert private < files
    shown += [path.read_text(errors="replace") for path in files - private]
    assert [s for s in secrets for text in shown if s in text] == []
    assert [path for path in files if path.stat().st_mode & 0o077] == []


@pytest.mark.parametrize("program", ["web", "gpu-worker", "flower", "redis"])
def test_a_killed_process_is_started_again(here: Installation, program: str) -> None:
    assert here.up()[0] == 0
    with here.redis() as client:
        client.set("kept", "yes")
    others = {m.process for m in here.members() if m.program != program}
    killed = here.started(program)
    assert killed is not None
    killed.kill()
    eventually(lambda: here.started(program) not in (None, killed))
    assert others <= {m.process for m in here.members()}
    with here.redis() as client:
        assert eventually(lambda: answer_of(client)) == "yes"


def answer_of(client: redis.Redis) -> object:
    try:
        return client.get("kept")
    except redis.ConnectionError:  # it is starting, or reading its file
        return None


# `make` passes on a SIGTERM that its whole process group got: it comes twice.
@pytest.mark.parametrize("numbers", [["SIGINT"], ["SIGTERM", "SIGTERM"]])
def test_in_the_foreground_logs_are_shown_until_a_signal_stops_everything_in_order(
    here: Installation, numbers: list[str]
) -> None:
    with here.foreground() as (up, lines):
        shown: list[str] = []
        while not {"web        | stub serves\n", "gpu-worker | stub works\n"} <= {*shown}:
            shown.append(next(lines))
        for number in numbers:
            up.send_signal(signal.Signals[number])
        shown += list(lines)
        assert up.wait(PATIENCE_S) == 0, shown
    assert shown[-1] == "Stopped.\n"
    assert here.members() == []
    # Celery's children finish what they hold only if the parent alone is asked to stop.
    assert "parent got SIGTERM" in here.events()
    assert not [event for event in here.events() if event.startswith("child got")]
    stopped = [line.split()[-4] for line in shown if "INFO stopped: " in line]
    assert sorted(stopped[:-1]) == ["flower", "gpu-worker", "web"]
    assert stopped[-1] == "redis"


def test_a_second_ctrl_c_kills_what_the_first_one_waits_for(here: Installation) -> None:
    here.procfile(f"web: {STUB} web", f"flower: {STUB} flower", f"worker: {STUB} stubborn")
    with here.foreground() as (up, lines):
        while "  Stop    Ctrl-C or " not in next(lines):
            pass
        eventually(lambda: "will not stop" in here.events())
        up.send_signal(signal.SIGINT)
        log = here.var / "log" / "supervisor.log"
        eventually(lambda: "INFO waiting for " in log.read_text())
        up.send_signal(signal.SIGINT)
        rest = "".join(lines)
        assert up.wait(PATIENCE_S) == 0, rest
    assert here.members() == []
    assert "killing 'worker'" not in rest  # as the supervisor would have, after the grace


def test_make_down_ends_an_up_in_the_foreground(here: Installation) -> None:
    with here.foreground() as (up, lines):
        while "  Stop    Ctrl-C or " not in next(lines):
            pass
        assert here.down()[0] == 0
        rest = list(lines)
        assert up.wait(PATIENCE_S) == 0, rest


def test_two_instances_run_side_by_side(here: Installation, tmp_path: Path) -> None:
    there = Installation(tmp_path, tmp_path / "other")
    try:
        for instance in (here, there):
            status, output = instance.up()
            assert status == 0, output
        running = there.members()
        assert here.down()[0] == 0
        assert there.members() == running
        assert {m.program for m in running} == set(PROCESSES)
    finally:
        there.down()
    assert there.members() == []


def test_down_finds_everything_even_after_the_supervisor_was_killed(here: Installation) -> None:
    assert here.up()[0] == 0
    here.supervisor().kill()
    eventually(lambda: not here.members("supervisor"))
    assert {m.program for m in here.members()} == {"redis", "web", "gpu-worker", "flower"}
    status, output = here.down()
    assert status == 0, output
    assert here.members() == []
    assert "parent got SIGTERM" in here.events()


def test_up_first_ends_what_a_killed_supervisor_left_behind(here: Installation) -> None:
    assert here.up()[0] == 0
    here.supervisor().kill()
    eventually(lambda: not here.members("supervisor"))
    left = {m.process for m in here.members()}
    status, output = here.up()
    assert status == 0, output
    assert "Its supervisor was killed, so these are stopped first: " in output
    assert {m.program for m in here.members()} == set(PROCESSES)
    assert not left & {m.process for m in here.members()}
