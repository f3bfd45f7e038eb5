"""What `up` will not do, what it says then, and that nothing of it stays."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import processes
from tests.deploy.installation import STUB, Installation


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Installation]:
    installation = Installation(tmp_path, tmp_path / "my var")
    yield installation
    processes.kill(installation.var)


def test_keys_of_the_environment_do_not_replace_those_of_the_file(here: Installation) -> None:
    status, output = here.up(PENSTOCK_API_KEY="a key of some other instance", FLOWER_USER="")
    assert status == 0, output
    unused = f"Not used, since {here.var}/dev.env goes first: PENSTOCK_API_KEY of the environment."
    assert unused in output
    web = here.started("web")
    assert web is not None
    assert web.environ()["PENSTOCK_API_KEY"] == here.keys()["PENSTOCK_API_KEY"]


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
