"""What import-linter cannot see: what is really in memory once the API runs."""

from __future__ import annotations

import json
import subprocess
import sys

WORKER_HALF = {
    "aiohttp",
    "tasks.inference.batch",
    "tasks.inference.settlement",
    "tasks.webhooks.delivery.dispatcher",
    "tasks.webhooks.delivery.attempts",
    "tasks.worker.crash_reports",
    "tasks.worker.devices",
    "tasks.webhooks.delivery.ssrf_guard",
    "tasks.worker.maintenance",
    "tasks.inference.executor",
    "tasks.queue.consumer",
    "tasks.worker.watchdog",
    "tasks.worker.poller",
    "tasks.worker.child",
    "tasks.worker.celery_worker",
    "tasks.webhooks.delivery.request",
    "tasks.autoscaling.pool_autoscaler",
    "tasks.autoscaling.pool_target",
    "tasks.worker.heartbeat",
    "tasks.webhooks.delivery.result_writer",
    "tasks.worker.graceful_exit",
    "tasks.webhooks.delivery.http_client",
    "tasks.webhooks.delivery.executor",
    "tasks.worker.__main__",
}

# Not wanted without an endpoint. (redis-py imports opentelemetry.sdk wherever it is installed.)
TRACES = {"tasks.telemetry.tracing.tracer", "opentelemetry.exporter"}

BUILD = """
from app.factory import create_app
from tasks.config.settings import Settings

secrets = dict.fromkeys(("redis_password", "api_key", "key_pepper", "webhook_key"), "x" * 16)
app = create_app(Settings(redis_port=1, **secrets))
assert app.test_client().get("/livez").status_code == 200
card = app.test_client().get(
    "/v1/pipelines/moderation", headers={"Authorization": "Bearer " + "x" * 16}
)
assert card.status_code == 503  # its breakers are in Redis, and here is none
"""


def modules_after(program: str) -> set[str]:
    """Names in sys.modules of a fresh interpreter that ran `program`."""
    shown = "\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    command = [sys.executable, "-c", program + shown]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return set(json.loads(said.stdout.splitlines()[-1]))


def test_the_api_serves_moderation_without_torch_or_the_worker_half() -> None:
    loaded = modules_after(BUILD)
    assert "ml.moderation.pipeline" in loaded
    assert "torch" not in loaded
    assert not loaded & WORKER_HALF
    assert not loaded & TRACES


def test_importing_the_api_loads_neither_torch_nor_the_worker_half() -> None:
    loaded = modules_after("import app")
    assert "app" in loaded
    assert "torch" not in loaded
    assert not loaded & WORKER_HALF


def test_the_parent_of_the_web_processes_has_not_loaded_the_application() -> None:
    loaded = modules_after("import app.__main__")
    assert "granian" in loaded
    rooms = {".".join(name.split(".")[:2]) for name in loaded if name.startswith("app.")}
    assert rooms == {"app.__main__", "app.http", "app.middleware"}
    assert "celery" not in loaded


def test_the_parent_of_a_worker_has_not_loaded_torch() -> None:
    program = """
from tasks.jobs.lanes import Lane
from tasks.config.settings import Settings
from tasks.worker.celery_worker import build

secrets = dict.fromkeys(("redis_password", "api_key", "key_pepper", "webhook_key"), "x" * 16)
build(Settings(**secrets), Lane.GPU)
"""
    loaded = modules_after(program)
    assert "tasks.worker.celery_worker" in loaded
    assert "aiohttp" not in loaded
    assert "torch" not in loaded
    assert not loaded & TRACES
