"""One fault after another, drawn by chance; what dies is started again by a supervisor."""

from __future__ import annotations

import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psutil

from tests.faults.proxy import Proxy
from tests.stack import Stack

GPU_WORKERS = ("gpu", "gpu-2")
WORKERS = (*GPU_WORKERS, "cpu")
PROCESSES = ("redis", "web", *WORKERS)
FREEZE_LEASES = 2.2
CUT_S = (1.0, 9.0)
GRACE_S = 40.0  # for a process that was asked to end


class Chaos:
    """Call a fault by its name, or let `one` draw it."""

    def __init__(self, stack: Stack, proxy: Proxy, seed: int) -> None:
        self.done: Counter[str] = Counter()
        self._stack = stack
        self._proxy = proxy
        self._chance = random.Random(seed)
        self._stop = threading.Event()
        self._frozen: list[psutil.Process] = []
        self._faults: dict[str, Callable[[], None]] = {
            "SIGKILL worker child": lambda: self._kill_child(self._chance.choice(WORKERS)),
            "SIGKILL worker": lambda: self._kill(self._chance.choice(WORKERS)),
            "SIGTERM worker": lambda: self._terminate(self._chance.choice(WORKERS)),
            "SIGSTOP worker": lambda: self._freeze(self._chance.choice(GPU_WORKERS)),
            "SIGKILL web process": lambda: self._kill_child("web"),
            "SIGKILL web": lambda: self._kill("web"),
            "SIGTERM web": lambda: self._terminate("web"),
            "SIGKILL redis": lambda: self._kill("redis"),
            "redis unreachable": self._cut,
            "SIGKILL everything": self._kill_everything,
        }

    @contextmanager
    def under_way(self, mean_pause_s: float) -> Iterator[None]:
        """A fault every now and then, until the end of the block undoes what can be undone."""
        thread = threading.Thread(target=self._run, args=(mean_pause_s,))
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()
            self._proxy.mend()
            _resume(*self._frozen)

    def one(self, name: str | None = None) -> None:
        name = name or self._chance.choice(list(self._faults))
        try:
            self._faults[name]()
        except psutil.NoSuchProcess:  # it is being started again
            self.done["missed"] += 1
        else:
            self.done[name] += 1

    def _run(self, mean_pause_s: float) -> None:
        while not self._stop.wait(self._chance.expovariate(1 / mean_pause_s)):
            self.one()

    def _kill(self, name: str) -> None:
        self._stack.processes[name].kill()

    def _kill_child(self, name: str) -> None:
        children = self._stack.children(name)
        if children:
            self._chance.choice(children).kill()

    def _kill_everything(self) -> None:
        for name in PROCESSES:
            for child in self._stack.children(name):
                child.kill()
            self._stack.processes[name].kill()

    def _terminate(self, name: str) -> None:
        process = self._stack.processes[name]
        process.send_signal(signal.SIGTERM)
        threading.Timer(GRACE_S, process.kill).start()

    def _freeze(self, name: str) -> None:
        """Worker and children stand still for longer than two leases."""
        stopped = [psutil.Process(self._stack.processes[name].pid), *self._stack.children(name)]
        for process in stopped:
            process.suspend()
        self._frozen += stopped
        seconds = FREEZE_LEASES * self._stack.settings.lease_ms / 1000
        threading.Timer(seconds, _resume, stopped).start()

    def _cut(self) -> None:
        self._proxy.cut()
        threading.Timer(self._chance.uniform(*CUT_S), self._proxy.mend).start()


def _resume(*stopped: psutil.Process) -> None:
    for process in stopped:
        with suppress(psutil.NoSuchProcess):
            process.resume()
