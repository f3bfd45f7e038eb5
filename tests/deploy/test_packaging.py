"""Containers run what the Procfile runs, on loopback, with a Redis as safe as the local one."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local import procfile
from deploy.local.dev_env import SECRETS
from deploy.local.redis_server import write_config
from deploy.local.supervisor_conf import GRACE_S

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROCFILE = procfile.read(ROOT / "Procfile")
DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text().replace("\\\n", " ").splitlines()


def instruction(word: str) -> str:
    """The arguments of the Dockerfile's only instruction `word`."""
    (line,) = [line for line in DOCKERFILE if line.startswith(f"{word} ")]
    return line.removeprefix(word).strip()


def directives(redis_conf: str) -> dict[str, str]:
    lines = [line for line in redis_conf.splitlines() if line and not line.startswith("#")]
    return {name: value for name, _, value in (line.partition(" ") for line in lines)}


def test_compose_runs_redis_and_the_processes_of_the_procfile() -> None:
    commands = {name: service["command"] for name, service in SERVICES.items()}
    assert commands.pop("redis")[0] == "redis-server"
    assert commands == PROCFILE


def test_what_compose_publishes_is_on_loopback_alone() -> None:
    published = {name: s["ports"] for name, s in SERVICES.items() if "ports" in s}
    assert published == {
        "web": ["127.0.0.1:${PENSTOCK_PORT:-8000}:8000"],
        "flower": ["127.0.0.1:${FLOWER_PORT:-5555}:5555"],
    }


def test_compose_does_not_start_without_its_secrets() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for secret in SECRETS.keys() - {"WEBHOOK_SECRET"}:  # optional
        uses = text.count(f"${{{secret}")
        assert uses > 0
        assert text.count(f"${{{secret}:?") == uses


def test_every_container_has_the_same_grace_as_a_local_process() -> None:
    assert {s["stop_grace_period"] for s in SERVICES.values()} == {f"{GRACE_S}s"}


def test_redis_in_a_container_is_as_safe_as_the_local_one(tmp_path: Path) -> None:
    config = write_config(tmp_path, port=6379, password="x", appendfsync="always")
    local = directives(config.read_text())
    contained = directives(COMPOSE["configs"]["redis"]["content"])
    # The container's network is its own; its processes need no mark to be found by.
    own = {"bind", "daemonize", "dir", "requirepass", "set-proc-title"}
    assert contained.pop("appendfsync") == "${REDIS_APPENDFSYNC:-always}"
    assert contained.pop("maxmemory") == "${REDIS_MAXMEMORY_BYTES:-2147483648}"
    own |= {"appendfsync", "maxmemory"}
    assert contained.keys() - {"dir", "requirepass"} == local.keys() - own
    assert contained.items() - local.items() == {
        ("dir", "/data"),
        ("requirepass", contained["requirepass"]),
    }


def test_the_gpu_file_changes_a_service_that_exists() -> None:
    gpu = yaml.safe_load((ROOT / "deploy/docker-compose.gpu.yml").read_text())
    assert set(gpu["services"]) == {"gpu-worker"}
    assert set(gpu["services"]) < set(SERVICES)


def test_the_image_runs_the_web_process_and_not_as_root() -> None:
    assert json.loads(instruction("CMD")) == shlex.split(PROCFILE["web"])
    assert instruction("USER") == "penstock"


def test_what_the_image_copies_exists_and_is_not_ignored() -> None:
    copied = [line.split()[1] for line in DOCKERFILE if line.startswith("COPY ")]
    ignored = (ROOT / "deploy/Dockerfile.dockerignore").read_text().splitlines()
    assert {"requirements.txt", "app", "tasks", "ml", "models"} <= set(copied)
    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert [name for name in copied if f"!{name}" not in ignored] == []


class Live(BaseHTTPRequestHandler):
    """A web process of which nothing but its liveness is known."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/livez" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.mark.parametrize("alive", [True, False])
def test_the_images_health_check_says_whether_the_web_process_answers(alive: bool) -> None:
    check = json.loads(instruction("HEALTHCHECK").partition("CMD")[2])
    assert check[0] == "python"
    with HTTPServer(("127.0.0.1", 0), Live) as server:
        env = {"PENSTOCK_PORT": str(server.server_port)}
        if alive:
            threading.Thread(target=server.handle_request).start()
        else:
            server.server_close()
        done = subprocess.run(
            [sys.executable, *check[1:]], env=env, stderr=subprocess.DEVNULL, check=False
        )
    assert (done.returncode == 0) is alive
