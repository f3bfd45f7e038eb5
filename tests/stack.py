"""Real processes on free ports: Redis, the web process and workers, and what tests ask of them."""

from __future__ import annotations

import dataclasses
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
from redis import Redis, RedisError

from deploy.local.redis_server import find_server, write_config
from tasks.config.settings import Settings
from tasks.store import keys
from tasks.store.client import Store, connect
from tests.conftest import RedisServer
from tests.eventually import LOOK_AGAIN_S, eventually
from tests.ports import free_port

ROOT = Path(__file__).parent.parent
MARK = "PENSTOCK_TEST_STACK"  # marks every process of a stack, children too
COMMANDS = {
    "web": ("-m", "app"),
    "gpu": ("-m", "tasks.worker", "gpu"),
    "cpu": ("-m", "tasks.worker", "cpu"),
    "webhooks": ("-m", "tasks.worker", "webhooks"),
    "flower": ("-m", "tasks.telemetry.flower"),
}
USUAL = ("web", "gpu", "cpu")


class Stack:
    """One instance of Penstock.

    folder: Redis's data and a log per process. limits: settings that are not to be the default.
    env: more variables for its processes; REDIS_PORT may lead them past a proxy, not us.
    """

    def __init__(self, folder: Path, *pipelines: str, **limits: Any) -> None:
        self.folder = folder
        self.mark = secrets.token_hex(8)
        self.redis_server = RedisServer(free_port(), secrets.token_hex(16), folder / "redis")
        self.settings = Settings(
            port=free_port(),
            redis_port=self.redis_server.port,
            redis_password=self.redis_server.password,
            api_key=secrets.token_hex(16),
            key_pepper=secrets.token_hex(16),
            webhook_key=secrets.token_hex(16),
            pipelines=pipelines,
            visible_gpus=(),
            **{"metrics_port": 0} | limits,
        )
        self.env: dict[str, str] = {}
        self.url = f"http://127.0.0.1:{self.settings.port}"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.store = Store(connect(self.settings), self.settings)

    @property
    def redis(self) -> Redis:
        return self.store.redis

    def start(self, name: str, **env: str) -> subprocess.Popen[bytes]:
        """Start web, gpu, cpu, webhooks, flower or redis, or start it again as a supervisor would.

        A name may have a number behind it, as in "gpu-2": another one of the kind.
        """
        process = self._launch(name, env)
        if name == "redis":
            eventually(self._redis_answers, "an answer of Redis")
        return process

    def _launch(self, name: str, env: dict[str, str]) -> subprocess.Popen[bytes]:
        if name == "redis":
            return self._launch_redis()
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, *COMMANDS[name.partition("-")[0]]],
                cwd=ROOT,
                env=self._environment() | env,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self.processes[name]

    def start_all(self) -> None:
        """What most tests need: all but the worker of webhooks."""
        for name in ("redis", *USUAL):
            self.start(name)
        eventually(self.ready, "an answer of /readyz", within_s=120)
        eventually(lambda: self.alive("cpu"), "a cpu worker", within_s=120)

    def kill(self, name: str) -> None:
        """SIGKILL, to the named process alone; its children are left to notice."""
        self.processes[name].kill()
        self.processes[name].wait()

    @contextmanager
    def supervised(self, *names: str, **env: str) -> Iterator[None]:
        """While it lasts, the named processes are started again whenever they end."""
        done = threading.Event()

        def supervise() -> None:
            while not done.wait(LOOK_AGAIN_S):
                for name in names:
                    if self.processes[name].poll() is not None:
                        self._launch(name, env)

        thread = threading.Thread(target=supervise)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _launch_redis(self) -> subprocess.Popen[bytes]:
        server = self.redis_server
        # As `make up` has it: what was accepted is on disk before the client hears of it.
        config = write_config(
            server.folder, port=server.port, password=server.password, appendfsync="always"
        )
        process = subprocess.Popen([find_server(), config], stdout=subprocess.DEVNULL)
        self.processes["redis"] = process
        return process

    def _redis_answers(self) -> bool:
        assert self.processes["redis"].poll() is None, "redis-server ended at its start"
        try:
            return bool(self.redis.ping())
        except RedisError:
            return False

    def stop(self, name: str) -> None:
        """End a process in good order."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        process.wait(60)

    def ready(self) -> bool:
        for name, process in self.processes.items():
            assert process.poll() is None, f"{name} ended: {self.log(name)[-3_000:]}"
        try:
            return bool(httpx.get(f"{self.url}/readyz").json()["status"] == "ready")
        except httpx.TransportError:
            return False

    def alive(self, lane: str) -> int:
        """Worker children that are on the list of a lane."""
        return sum(str(name).startswith(lane) for name in self.redis.zrange(keys.WORKERS, 0, -1))

    def client(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.settings.api_key}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=90)

    def flask(self, *args: str) -> str:
        """What an operator's command prints; it must succeed."""
        done = subprocess.run(
            [sys.executable, "-m", "flask", "--app", "app.wsgi", *args],
            cwd=ROOT,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def children(self, name: str) -> list[psutil.Process]:
        """The child processes of one that runs: a worker's pool, granian's worker."""
        return psutil.Process(self.processes[name].pid).children(recursive=True)

    def pool_child(self, name: str) -> psutil.Process:
        """The child that runs the models (multiprocessing keeps a tracker beside it)."""
        return eventually(lambda: self._pool_children(name), f"one child of {name}")[0]

    def serving_child(self, name: str) -> psutil.Process:
        """The same, once it is on the list of its lane: before, other lanes may take its work."""

        def listed() -> psutil.Process | None:
            child = self.pool_child(name)
            workers = [str(member) for member in self.redis.zrange(keys.WORKERS, 0, -1)]
            return child if any(f"-{child.pid}-" in member for member in workers) else None

        child = eventually(listed, f"a child of {name} that serves")
        assert child is not None
        return child

    def _pool_children(self, name: str) -> list[psutil.Process]:
        """The one there is, or nothing while one takes the place of another."""
        try:
            found = [c for c in self.children(name) if "tracker" not in " ".join(c.cmdline())]
        except psutil.NoSuchProcess:
            return []
        return found if len(found) == 1 else []

    def held(self, by: int | None = None) -> int:
        """Units of the gpu lane that workers hold, or the one whose process id is given."""
        stream = keys.stream("gpu", "normal")
        if not self.redis.exists(stream):
            return 0
        holders = self.redis.xpending(stream, keys.GROUP)["consumers"]
        return sum(
            int(holder["pending"])
            for holder in holders
            if by is None or f"-{by}-" in str(holder["name"])
        )

    def freeze_in_mid_batch(self, child: psutil.Process) -> None:
        """Stop a gpu worker's child at a moment when it holds units."""

        def stopped_with_units() -> bool:
            child.suspend()
            # What it sent before it stopped is done by the time Redis answers for the second time.
            if self.held(child.pid) and self.held(child.pid):
                return True
            child.resume()
            return False

        eventually(stopped_with_units, "a child stopped with units held")

    def ended(self) -> dict[str, int]:
        """Jobs that ended so far, by status, as the scripts counted them."""
        return {str(status): int(n) for status, n in self.redis.hgetall(keys.COUNTS).items()}

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def stop_all(self) -> None:
        """End every process in good order, and then those that did not; none may be left."""
        for name, process in self.processes.items():
            if name != "redis" and process.poll() is None:
                process.send_signal(signal.SIGTERM)
        _, stubborn = psutil.wait_procs(list(self._alive(but="redis")), timeout=40)
        left = [(p.pid, " ".join(p.cmdline())) for p in stubborn if p.is_running()]
        if "redis" in self.processes:
            self.processes["redis"].kill()
        for survivor in [*stubborn, *self._alive()]:
            survivor.kill()
        for process in self.processes.values():
            process.wait()
        self.redis.connection_pool.disconnect()
        assert not left, f"still there 40 s after SIGTERM: {left}"

    def _alive(self, but: str | None = None) -> Iterator[psutil.Process]:
        spared = self.processes[but].pid if but in self.processes else None
        for process in psutil.process_iter():
            try:
                marked = process.environ().get(MARK) == self.mark
            except psutil.Error:
                continue
            if marked and process.pid != spared:
                yield process

    def _environment(self) -> dict[str, str]:
        """Nothing of ours leaks in but where programs and libraries are."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        settings = {
            member.metadata["env"]: _as_text(getattr(self.settings, member.name))
            for member in dataclasses.fields(self.settings)
        }
        return kept | settings | {MARK: self.mark} | self.env


def _as_text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "" if value is None else str(value)
