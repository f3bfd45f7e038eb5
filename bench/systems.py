"""The systems compared, and how each is started: same Redis, same API key, same client."""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from bench.client import ClientError, Conversation, Driver
from bench.fleet import ROOT, Fleet, FleetError, free_port
from bench.traffic import Target, single
from deploy.local.redis_server import find_server, write_config
from tasks.config.settings import Settings

READY_WITHIN_S = 90.0


@dataclass(frozen=True)
class System:
    """The processes of one system under test.

    web, workers: commands by role; `{port}` stands for the port of the web server.
    env: variables that its processes need in addition to the common environment.
    """

    name: str
    web: tuple[str, ...]
    workers: Mapping[str, tuple[str, ...]]
    fsync: str = "everysec"
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Running:
    """A started system: address, processes, Redis."""

    target: Target
    fleet: Fleet
    redis: Redis


def _python(*module: str) -> tuple[str, ...]:
    return (sys.executable, "-m", *module)


def penstock(fsync: str, name: str = "penstock") -> System:
    workers = {lane: _python("tasks.worker", lane) for lane in ("gpu", "cpu", "webhooks")}
    env = {"PENSTOCK_ENABLE_NULL": "1"}
    return System(name, _python("app"), workers, fsync, env)


def flower_variants(fsync: str) -> list[System]:
    """Events for Flower, none, and both events and Flower itself on the same machine."""
    told = penstock(fsync, "events")
    untold = penstock(fsync, "no events")
    untold = replace(untold, env={**untold.env, "PENSTOCK_FLOWER_JOBS_PER_S": "0"})
    secret = {"FLOWER_USER": "bench", "FLOWER_PASSWORD": secrets.token_hex(16)}
    shown = replace(
        penstock(fsync, "events and Flower"),
        workers={**told.workers, "flower": _python("tasks.telemetry.flower")},
        env={**told.env, **secret},
    )
    return [told, untold, shown]


def flask_celery(
    fsync: str,
    name: str = "flask-celery",
    pool: tuple[str, ...] = ("--concurrency=2", "--prefetch-multiplier=1"),
) -> System:
    """The baseline, served as `app.__main__` serves; `pool`: what was tuned (bench/README.md)."""
    module = "bench.baselines.flask_celery"
    web = _python("granian", "--interface=wsgi", "--port={port}", "--http=1", "--no-ws")
    web += (f"--workers={Settings.web_workers}", f"--blocking-threads={Settings.web_threads}")
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=WARNING")
    celery = _python("celery", "-A", f"{module}:celery_app", "worker", *quiet, *pool)
    return System(name, (*web, f"{module}:flask_app"), {"worker": celery}, fsync)


def baseline_variants(fsync: str) -> list[System]:
    """Worker settings to compare; all keep late acknowledgement."""
    return [
        flask_celery(fsync, f"{processes} processes, prefetch {prefetch}", pool)
        for processes, prefetch in ((1, 64), (2, 1), (2, 4), (2, 64), (4, 4))
        for pool in [(f"--concurrency={processes}", f"--prefetch-multiplier={prefetch}")]
    ]


@contextmanager
def started(system: System, *, with_workers: bool = True) -> Iterator[Running]:
    """Run `system` on free ports in a temporary folder until the block ends.

    Raises:
        FleetError: a process ended, or nothing was ready within READY_WITHIN_S.
    """
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name:
        folder = Path(name)
        fleet = Fleet(folder)
        try:
            redis, env = _start_redis(fleet, folder, system)
            target = _start_web(fleet, system, env)
            if with_workers:
                for role, command in system.workers.items():
                    fleet.start(role, command, env)
            _await_ready(fleet, target, finished=with_workers)
            yield Running(target, fleet, redis)
        except Exception as error:
            error.add_note(f"web says:\n{fleet.tail('web')}")  # its folder goes in a moment
            raise
        finally:
            fleet.stop()


def _start_redis(fleet: Fleet, folder: Path, system: System) -> tuple[Redis, dict[str, str]]:
    """Start the system's own Redis; return a client and the environment that names it."""
    port, password = free_port(), secrets.token_hex(16)
    config = write_config(folder / "redis", port=port, password=password, appendfsync=system.fsync)
    fleet.start("redis", (str(find_server()), str(config)), os.environ)
    redis = Redis(port=port, password=password, decode_responses=True)
    _await(fleet, lambda: _answers(redis))
    env = {
        **os.environ,
        **system.env,
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": str(port),
        "REDIS_PASSWORD": password,
        "PENSTOCK_API_KEY": secrets.token_hex(16),
        "PENSTOCK_KEY_PEPPER": secrets.token_hex(16),
        "PENSTOCK_WEBHOOK_KEY": secrets.token_hex(16),
        "PENSTOCK_PORT": str(free_port()),
        "FLOWER_PORT": str(free_port()),
        "PYTHONPATH": str(ROOT),
    }
    return redis, env


def _start_web(fleet: Fleet, system: System, env: Mapping[str, str]) -> Target:
    port = env["PENSTOCK_PORT"]
    fleet.start("web", [part.format(port=port) for part in system.web], env)
    return Target(("127.0.0.1", int(port)), env["PENSTOCK_API_KEY"])


def _await_ready(fleet: Fleet, target: Target, *, finished: bool) -> None:
    """Wait until the system finishes a job, or without workers until it answers at all."""

    def try_once() -> Conversation:
        answer = yield target.post(single(), 1) if finished else target.get("/v1/jobs/none")
        statuses.append(answer.status)

    def ready() -> bool:
        try:
            Driver(target.address, stall_s=5).run([try_once()])
        except (ClientError, OSError):
            return False
        return not finished or statuses[-1] == 200

    statuses: list[int] = []
    _await(fleet, ready)


def _answers(redis: Redis) -> bool:
    try:
        return bool(redis.ping())
    except RedisError:
        return False


def _await(fleet: Fleet, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while not ready():
        fleet.check()
        if time.monotonic() > deadline:
            raise FleetError(f"not ready in {READY_WITHIN_S} s; web says:\n{fleet.tail('web')}")
        time.sleep(0.1)
