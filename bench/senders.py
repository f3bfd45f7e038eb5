"""The senders that `bench.webhooks` compares: Penstock's worker, and one Celery task for each."""

from __future__ import annotations

import os
import sys
import tempfile
import time
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import orjson
from celery import Celery
from redis import RedisError

from bench.fleet import ROOT, Fleet, FleetError, free_port
from deploy.local.dev_env import DEVELOPMENT, SECRETS
from deploy.local.redis_server import find_server, write_config
from tasks.celery import make_celery
from tasks.config.settings import Settings
from tasks.jobs.lanes import Lane, Priority
from tasks.jobs.model import Spec
from tasks.jobs.read import read_job
from tasks.jobs.submit import Submission, new_job_id, submit
from tasks.queue.consumer import Consumer
from tasks.queue.units import SettledUnit
from tasks.queue.wakeups import wake
from tasks.store.client import Store, connect
from tasks.webhooks.deliveries import deliveries_of
from tasks.webhooks.delivery.request import body_of

WITHIN_S = 120.0
OUTCOME = {"output": {"label": "allow", "confidence": 1.0, "tier": "null"}, "error": None}
PLAIN = "bench.baselines.celery_webhooks"


class Sender(ABC):
    """A queue of deliveries on a Redis of its own, its worker, and the receiver they go to.

    queued: when each event happened, by its id, in seconds since the epoch.
    """

    name = ""

    def __init__(self, fleet: Fleet, env: Mapping[str, str], endpoints: int) -> None:
        self.fleet = fleet
        self.env = env
        self.endpoints = endpoints
        self.queued: dict[str, float] = {}
        self.settings = Settings.from_env(env)
        self.store = Store(connect(self.settings), self.settings)
        self._port = free_port()
        fleet.start("receiver", _python("bench.receiver", str(self._port)), env)
        _await(fleet, lambda: self.arrived() is not None)

    @abstractmethod
    def queue(self, count: int) -> None:
        """Queue events for the endpoints, in turn."""

    @abstractmethod
    def start_worker(self) -> None:
        """Begin to send them."""

    def arrived(self) -> dict[str, float] | None:
        """Arrivals since the last call, with their times; None if the receiver does not listen."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/") as answer:
                found: dict[str, float] = orjson.loads(answer.read())
        except OSError:
            return None
        return found

    def url(self, number: int) -> str:
        return f"http://127.0.0.1:{self._port}/{number % self.endpoints}"


class Penstock(Sender):
    """Penstock: jobs are ended as by a gpu worker; every owner has its own queue of deliveries."""

    name = "penstock"

    def __init__(self, fleet: Fleet, env: Mapping[str, str], endpoints: int) -> None:
        super().__init__(fleet, env, endpoints)
        self._gpu = Consumer(self.store, Lane.GPU)
        self._celery = make_celery(self.settings)

    def queue(self, count: int) -> None:
        for number in range(count):
            self._submit(number)
        while units := self._gpu.claim(64, 0).units:
            moment = time.time()
            ids = [f"msg_{unit.job.removeprefix('job_')}_job" for unit in units]
            self.queued |= dict.fromkeys(ids, moment)
            settled = [SettledUnit(unit, [OUTCOME], {}) for unit in units]
            if self._gpu.commit(settled).wake:
                wake(self._celery, Lane.WEBHOOKS)

    def start_worker(self) -> None:
        self.fleet.start("worker", _python("tasks.worker", "webhooks"), self.env)

    def example(self) -> str:
        """The body of one event."""
        self.queue(1)
        job = read_job(self.store, f"job_{next(iter(self.queued)).split('_')[1]}")
        assert job is not None
        (delivery,) = deliveries_of(self.store, job.id)
        return body_of(delivery, job).decode()

    def _submit(self, number: int) -> None:
        webhook = {"url": self.url(number), "events": ["job.succeeded"]}
        spec = Spec("null", f"owner{number % self.endpoints}", webhook=webhook)
        inputs = [{"text": "hello"}]
        submit(self.store, Submission(spec, inputs, Lane.GPU, Priority.NORMAL, 64), new_job_id())


class Plain(Sender):
    """Celery: one task for each event. pool: the worker's options."""

    def __init__(
        self, fleet: Fleet, env: Mapping[str, str], endpoints: int, pool: tuple[str, ...], body: str
    ) -> None:
        super().__init__(fleet, env, endpoints)
        self.name = "celery " + " ".join(pool)
        self._pool = pool
        self._body = body
        url = f"redis://:{self.settings.redis_password}@127.0.0.1:{self.settings.redis_port}/0"
        self._celery = Celery(broker=url)

    def queue(self, count: int) -> None:
        with self._celery.producer_pool.acquire(block=True) as producer:
            for number in range(count):
                event = f"msg_{len(self.queued)}"
                self.queued[event] = time.time()
                args = (event, self.url(number), self._body)
                self._celery.send_task("deliver", args, producer=producer, ignore_result=True)

    def start_worker(self) -> None:
        quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "WARNING")
        command = _python("celery", "-A", f"{PLAIN}:app", "worker", *quiet, *self._pool)
        self.fleet.start("worker", command, self.env)


@contextmanager
def ready(make: Callable[[Fleet, Mapping[str, str]], Sender]) -> Iterator[Sender]:
    """A sender on a Redis of its own in a temporary folder; its worker is not started."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name:
        fleet = Fleet(Path(name))
        env = _environment()
        try:
            config = write_config(
                Path(name) / "redis",
                port=int(env["REDIS_PORT"]),
                password=env["REDIS_PASSWORD"],
                appendfsync="always",
            )
            fleet.start("redis", (str(find_server()), str(config)), os.environ)
            store = connect(Settings.from_env(env))
            _await(fleet, lambda: _answers(store.ping))
            yield make(fleet, env)
        finally:
            fleet.stop()


def _environment() -> dict[str, str]:
    secrets = {name: make() for name, make in SECRETS.items()}
    where = {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(free_port()), "PYTHONPATH": str(ROOT)}
    return {
        **os.environ,
        **DEVELOPMENT,
        **secrets,
        **where,
        "PENSTOCK_PIPELINES": "ml.null:pipeline",
    }


def _python(*module: str) -> tuple[str, ...]:
    return (sys.executable, "-m", *module)


def _answers(ping: Callable[[], object]) -> bool:
    try:
        return bool(ping())
    except RedisError:
        return False


def _await(fleet: Fleet, ready_: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not ready_():
        fleet.check()
        if time.monotonic() > deadline:
            raise FleetError(f"not ready in {WITHIN_S} s")
        time.sleep(0.05)
