"""What all tests share: a Redis of their own on a free port, and settings that lead to it."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis import Redis, RedisError

from deploy.local.redis_server import find_server, write_config
from tasks.config.settings import Settings
from tasks.store.client import Store, connect
from tests.ports import free_port

API_KEY = "test-key-0123456789"
PEPPER = "test-pepper-0123456789"
WEBHOOK_KEY = "test-webhook-key-0123456789"


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
