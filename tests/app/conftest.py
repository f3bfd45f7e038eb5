"""Fixtures: the API in this process with a real Redis, and a worker that runs on demand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.factory import create_app
from ml.catalog import load_pipelines
from ml.serving.runtime import Runtime
from tasks.config.settings import Settings
from tasks.inference.executor import InferenceExecutor
from tasks.jobs.lanes import Lane
from tasks.queue.consumer import Consumer
from tasks.status.usage import DAY_US
from tasks.store.client import Store
from tests.conftest import API_KEY, PEPPER, WEBHOOK_KEY, RedisServer

PIPELINES = ("ml.null:pipeline", "tests.pipelines:echo")


class Deaf:
    """Stands in for Celery where no worker listens for wake-ups."""

    def send_task(self, *_: object, **__: object) -> None: ...


@pytest.fixture(scope="session")
def settings(redis_server: RedisServer) -> Settings:
    return Settings(
        redis_port=redis_server.port,
        redis_password=redis_server.password,
        api_key=API_KEY,
        key_pepper=PEPPER,
        webhook_key=WEBHOOK_KEY,
        pipelines=PIPELINES,
        max_body_bytes=1_000_000,
        max_inputs=20,
        max_metadata_bytes=256,
        limiter_timeout_ms=10_000,  # what counts here is counted, however busy the machine is
    )


@pytest.fixture(scope="session")
def app(settings: Settings) -> Flask:
    return create_app(settings)


def client_of(app: Flask) -> FlaskClient:
    """A client that sends a valid key."""
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {API_KEY}"
    return client


@pytest.fixture
def client(app: Flask, store: Store) -> FlaskClient:
    return client_of(app)


@pytest.fixture(scope="session")
def runtimes() -> dict[str, Runtime]:
    return {name: Runtime.load(line, "cpu") for name, line in load_pipelines(PIPELINES).items()}


@pytest.fixture
def gpu_worker(store: Store) -> Consumer:
    alert = Store(store.redis, replace(store.settings, linger_ms=0))
    return Consumer(alert, Lane.GPU)


@pytest.fixture
def work(gpu_worker: Consumer, runtimes: dict[str, Runtime]) -> Callable[[], int]:
    """A function that runs everything in the gpu lane, as a worker child would."""
    return InferenceExecutor(gpu_worker, runtimes, Deaf()).run_batches  # type: ignore[arg-type]


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> int:
    """Fix the day, so that it does not end while a test runs; returns its number."""
    day = 20_000
    monkeypatch.setattr(Store, "now_us", lambda _: day * DAY_US + 1)
    return day
