"""`up` and `down` from outside, with real signals, a real Redis and stand-ins for the rest."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import psutil
import pytest
import redis

from deploy.local import dev_env, processes
from deploy.local.processes import Member

ROOT = Path(__file__).parents[2]
STUB = f"python {ROOT}/tests/deploy/stub_process.py"
PROCESSES = ["supervisor", "redis", "web", "gpu-worker", "flower"]
PATIENCE_S = 60
"""Far more than anything here takes: it ends a test that hangs, it decides none."""

T = TypeVar("T")


def eventually(condition: Callable[[], T]) -> T:
    """Return the condition's first true value."""
    deadline = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{condition} did not become true"
        time.sleep(0.02)
    return value


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


class Installation:
    """A repository of stand-ins with an instance of its own."""

    def __init__(self, root: Path, var: Path) -> None:
        self.root, self.var = root, var
        self.web_port, self.flower_port, self.redis_port = free_ports(3)
        self.procfile(f"web: {STUB} web", f"gpu-worker: {STUB} worker", f"flower: {STUB} flower")
        self.env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "PENSTOCK_VAR": str(var),
            "PENSTOCK_PORT": str(self.web_port),
            "FLOWER_PORT": str(self.flower_port),
            "REDIS_PORT": str(self.redis_port),
        }

    def procfile(self, *lines: str) -> None:
        (self.root / "Procfile").write_text("\n".join(lines) + "\n")

    def start(self, command: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "deploy.local", command],
            cwd=self.root,
            env=self.env | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: str, **env: str) -> tuple[int, str]:
        """Run a command to its end; return its status and what it printed."""
        process = self.start(command, **env)
        output, _ = process.communicate(timeout=2 * PATIENCE_S)
        return process.returncode, output

    @contextmanager
    def foreground(self) -> Iterator[tuple[subprocess.Popen[str], Iterator[str]]]:
        """Run `up` in the foreground; give it and the lines it prints."""
        with self.start("up") as up:
            assert up.stdout is not None
            try:
                yield up, iter(up.stdout.readline, "")
            finally:
                up.kill()

    def up(self, **env: str) -> tuple[int, str]:
        return self.run("up", DETACH="1", **env)

    def down(self) -> tuple[int, str]:
        return self.run("down")

    def members(self, program: str | None = None) -> list[Member]:
        found = processes.members(self.var)
        return [member for member in found if program in (None, member.program)]

    def member(self, program: str) -> psutil.Process:
        """The program's process; its first one, if it has children."""
        return min((m.process for m in self.members(program)), key=psutil.Process.create_time)

    def keys(self) -> dict[str, str]:
        return dev_env.read(self.var / "dev.env")

    def events(self) -> list[str]:
        return (self.var / "events").read_text().splitlines()

    def redis(self) -> redis.Redis:
        password = self.keys()["REDIS_PASSWORD"]
        return redis.Redis(port=self.redis_port, password=password, decode_responses=True)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Installation]:
    installation = Installation(tmp_path, tmp_path / "my var")
    yield installation
    processes.kill(installation.var)


def test_up_proves_itself_by_a_real_answer_and_down_leaves_no_process(here: Installation) -> None:
    status, output = here.up()
    assert status == 0, output
    assert '"I will find you and hurt you."' in output
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
    assert "text I will find you and hurt you." in here.events()
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


def test_keys_of_the_environment_do_not_replace_those_of_the_file(here: Installation) -> None:
    status, output = here.up(PENSTOCK_API_KEY="a key of some other instance", FLOWER_USER="")
    assert status == 0, output
    unused = f"Not used, since {here.var}/dev.env goes first: PENSTOCK_API_KEY of the environment."
    assert unused in output
    assert here.member("web").environ()["PENSTOCK_API_KEY"] == here.keys()["PENSTOCK_API_KEY"]


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
    killed = here.member(program)
    killed.kill()
    eventually(lambda: here.members(program) and here.member(program) != killed)
    assert others <= {m.process for m in here.members()}
    with here.redis() as client:
        assert eventually(lambda: answer_of(client)) == "yes"


def answer_of(client: redis.Redis) -> object:
    try:
        return client.get("kept")
    except redis.ConnectionError:  # it is starting, or reading its file
        return None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_in_the_foreground_logs_are_shown_until_a_signal_stops_everything_in_order(
    here: Installation, number: signal.Signals
) -> None:
    with here.foreground() as (up, lines):
        shown: list[str] = []
        while not {"web        | stub serves\n", "gpu-worker | stub works\n"} <= {*shown}:
            shown.append(next(lines))
        up.send_signal(number)
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


def test_make_down_ends_an_up_in_the_foreground(here: Installation) -> None:
    with here.foreground() as (up, lines):
        while "  Stop    Ctrl-C or " not in next(lines):
            pass
        assert here.down()[0] == 0
        rest = list(lines)
        assert up.wait(PATIENCE_S) == 0, rest


def test_a_second_up_in_the_same_folder_is_refused_and_disturbs_nothing(
    here: Installation,
) -> None:
    assert here.up()[0] == 0
    running = here.members()
    status, output = here.up()
    assert status == 1
    assert output.startswith(f"An instance already runs in {here.var}: supervisor (pid ")
    assert f"PENSTOCK_VAR='{here.var}' make down" in output
    assert here.members() == running


def test_two_instances_run_side_by_side(here: Installation, tmp_path: Path) -> None:
    there = Installation(tmp_path, tmp_path / "other")
    try:
        assert here.up()[0] == there.up()[0] == 0
        running = there.members()
        assert here.down()[0] == 0
        assert there.members() == running
        assert {m.program for m in running} == set(PROCESSES)
    finally:
        there.down()
    assert there.members() == []


def test_what_is_not_ready_in_time_is_stopped(here: Installation) -> None:
    here.procfile(f"web: {STUB} never-ready", f"gpu-worker: {STUB} worker")
    status, output = here.up(PENSTOCK_UP_TIMEOUT_S="1")
    assert status == 1
    assert "Not ready after 1 s (PENSTOCK_UP_TIMEOUT_S)." in output
    assert f"GET http://127.0.0.1:{here.web_port}/readyz said last: " in output
    assert "--- last lines of supervisor" in output
    assert here.members() == []


def test_a_process_that_ends_again_and_again_is_not_waited_for(here: Installation) -> None:
    here.procfile(f"web: {STUB} never-ready", f"gpu-worker: {STUB} fails")
    status, output = here.up()
    assert status == 1
    assert "gpu-worker ended 5 times; giving up." in output
    assert "--- last lines of gpu-worker\nthe model is missing\n" in output
    assert "--- last lines of web" not in output  # it runs: its log explains nothing
    assert here.members() == []


def test_a_taken_port_is_said_before_anything_starts(here: Installation) -> None:
    for variable in ("PENSTOCK_PORT", "FLOWER_PORT", "REDIS_PORT"):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            status, output = here.up(**{variable: str(port)})
        assert status == 1
        assert f"Port {port} is taken. Choose another one, e.g. {variable}={port + 1}" in output
    assert not (here.var / "log").exists()


def test_one_port_for_two_processes_is_refused(here: Installation) -> None:
    status, output = here.up(FLOWER_PORT=str(here.web_port))
    assert (status, output) == (1, f"PENSTOCK_PORT and FLOWER_PORT are both {here.web_port}.\n")


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("PENSTOCK_PORT", "70000", "Must be greater than or equal to 1 and less than or equal to"),
        ("REDIS_APPENDFSYNC", "never", "Must be one of: always, everysec."),
        ("PENSTOCK_UP_TIMEOUT_S", "soon", "Not a valid integer."),
        ("REDIS_HOST", "redis.example.com", "`make up` starts its own Redis"),
    ],
)
def test_a_wrong_setting_stops_the_start_and_says_what_is_allowed(
    here: Installation, variable: str, value: str, allowed: str
) -> None:
    status, output = here.up(**{variable: value})
    assert status == 1
    assert f"{variable}={value!r} is not valid" in output
    assert allowed in output
    assert here.members() == []


def test_a_folder_that_supervisords_configuration_cannot_hold_is_refused(
    here: Installation,
) -> None:
    status, output = here.up(PENSTOCK_VAR="50%")
    assert status == 1
    assert "no '%' is allowed" in output
    assert not (here.root / "50%").exists()


def test_down_finds_everything_even_after_the_supervisor_was_killed(here: Installation) -> None:
    assert here.up()[0] == 0
    here.member("supervisor").kill()
    eventually(lambda: not here.members("supervisor"))
    assert {m.program for m in here.members()} == {"redis", "web", "gpu-worker", "flower"}
    status, output = here.down()
    assert status == 0, output
    assert here.members() == []
    assert "parent got SIGTERM" in here.events()


def test_up_first_ends_what_a_killed_supervisor_left_behind(here: Installation) -> None:
    assert here.up()[0] == 0
    here.member("supervisor").kill()
    eventually(lambda: not here.members("supervisor"))
    left = {m.process for m in here.members()}
    status, output = here.up()
    assert status == 0, output
    assert "Its supervisor was killed, so these are stopped first: " in output
    assert {m.program for m in here.members()} == set(PROCESSES)
    assert not left & {m.process for m in here.members()}
