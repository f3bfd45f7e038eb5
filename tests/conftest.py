"""What all tests share: a Redis per process on a free port, settings that lead to it, markers."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from redis import Redis, RedisError
from xdist.scheduler import LoadScopeScheduling

from deploy.local.redis_server import find_server, write_config
from tasks.config.settings import Settings
from tasks.store.client import Store, connect
from tests.ports import free_port

API_KEY = "test-key-0123456789"
PEPPER = "test-pepper-0123456789"
WEBHOOK_KEY = "test-webhook-key-0123456789"

TESTS = Path(__file__).parent
# Tests here start real processes or a browser, so `make test` runs only those marked `core`.
REAL_PROCESSES = ("browser", "faults", "integration")
STACK = "tests/integration/"  # most modules here ask the same stack

# Several test processes share the cores: with a thread per core each, torch only waits for itself.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what only `make test-full` runs, and put first what takes longest.

    So no process of pytest-xdist ends long after the others.
    """
    for item in items:
        folder, *_ = item.path.relative_to(TESTS).parts
        if folder in REAL_PROCESSES and not item.get_closest_marker("core"):
            item.add_marker(pytest.mark.full)
    items.sort(key=lambda item: item.get_closest_marker("core") is None)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Give each process of pytest-xdist whole modules, and all that share a stack to one."""
    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = scope_of
    return scheduler


def scope_of(nodeid: str) -> str:
    """What tests must have in common to run in the same process."""
    module = nodeid.partition("::")[0]
    return STACK if module.startswith(STACK) else module


@dataclass(frozen=True)
class RedisServer:
    """A running server. folder: its data, kept over restarts."""

    port: int
    password: str
    folder: Path


def start_redis(server: RedisServer) -> subprocess.Popen[bytes]:
    """Start a server and wait until it answers."""
    config = write_config(
        server.folder, port=server.port, password=server.password, appendfsync="everysec"
    )
    process = subprocess.Popen([find_server(), config], stdout=subprocess.DEVNULL)
    with Redis(port=server.port, password=server.password) as probe:
        while not _answers(probe):
            assert process.poll() is None, "redis-server ended at its start"
    return process


def _answers(redis: Redis) -> bool:
    try:
        return bool(redis.ping())
    except RedisError:
        return False


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(free_port(), secrets.token_hex(16), tmp_path_factory.mktemp("redis"))
    process = start_redis(server)
    yield server
    process.kill()
    process.wait()


@pytest.fixture
def settings(redis_server: RedisServer) -> Settings:
    return Settings(
        redis_port=redis_server.port,
        redis_password=redis_server.password,
        api_key=API_KEY,
        key_pepper=PEPPER,
        webhook_key=WEBHOOK_KEY,
        pipelines=("ml.null:pipeline",),
    )


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    redis = connect(settings)
    redis.flushall()
    yield Store(redis, settings)
    redis.connection_pool.disconnect()
