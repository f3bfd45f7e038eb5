"""Clients that ask again, with the same key, until they know; and note all they are told."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections import Counter, deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Self

from tests.soak.ledger import Kind, Ledger
from tests.soak.pipelines import POISON
from tests.stack import Stack

CLIENTS = 12
AGAIN_S = 0.05  # after a refusal; its Retry-After would be longer than most faults
MOST_OPEN = 300  # jobs that a client has under way
FIRST_LOOK_S = 0.2
POISON_EVERY = 12_000
SHARES = {Kind.BULK: 0.01, Kind.TWICE: 0.01, Kind.CANCELLED: 0.01, Kind.DEADLINE: 0.01}
DEADLINE_MS = 400


class Stopped(Exception):
    """The soak is over."""


class Clients:
    """Submit until `enough`, then wait for the answers until `stop`."""

    def __init__(self, stack: Stack, ledger: Ledger, seed: int) -> None:
        self.asked: Counter[str] = Counter()  # what requests were answered with
        self._stack = stack
        self._ledger = ledger
        self._seed = seed
        self._enough = threading.Event()
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(CLIENTS)
        self._threads: list[Future[None]] = []

    def check(self) -> None:
        """Raises what a client has died of."""
        for thread in self._threads:
            if thread.done():
                thread.result()

    def __enter__(self) -> Self:
        self._threads = [self._pool.submit(self._live, number) for number in range(CLIENTS)]
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._pool.shutdown()

    def finish(self, within_s: float) -> None:
        """Submit no more; wait for what is open, but not for ever: what is lost never ends."""
        self._enough.set()
        wait(self._threads, within_s)
        self._stop.set()
        for thread in self._threads:
            thread.result()

    def _live(self, number: int) -> None:
        chance = random.Random(f"{self._seed} {number}")
        client = _Client(self._stack, self.asked, self._stop)
        opened: deque[tuple[float, str]] = deque()
        submitted = 0
        try:
            while (opened or not self._enough.is_set()) and not self._stop.is_set():
                if not self._enough.is_set() and len(opened) < MOST_OPEN:
                    submitted += 1
                    self._submit(client, chance, opened, f"{number}-{submitted}")
                self._look(client, opened)
        except Stopped:
            return
        finally:
            client.close()

    def _submit(
        self, client: _Client, chance: random.Random, opened: deque[tuple[float, str]], key: str
    ) -> None:
        kind = _kind(chance, key)
        text = f"{POISON if kind is Kind.POISON else 'text'} {key}"
        body: dict[str, Any] = {"pipeline": "brisk", "input": {"text": text}}
        if kind is Kind.BULK:
            body = {"pipeline": "brisk", "inputs": [{"text": f"{text} {n}"} for n in range(5)]}
        if kind is Kind.DEADLINE:
            body["deadline_ms"] = DEADLINE_MS
        job = client.submit(body, key, wait=chance.random() < 0.2)
        if job is None:  # refused for its deadline
            return
        self._ledger.accepted(job["id"], kind, text, key)
        if kind is Kind.TWICE:
            again = client.submit(body, key, wait=False)
            if again is None or again["id"] != job["id"]:
                self._ledger.doubled.append(f"{key} made {job['id']}, and then {again}")
        if kind is Kind.CANCELLED:
            client.ask("POST", f"/v1/jobs/{job['id']}/cancel")
        if job["finished_at"]:
            self._ledger.saw(job)
        else:
            opened.append((time.monotonic() + FIRST_LOOK_S, job["id"]))

    def _look(self, client: _Client, opened: deque[tuple[float, str]]) -> None:
        """Ask for the oldest open job, if its turn has come."""
        if not opened:
            return
        due, job_id = opened[0]
        idle = self._enough.is_set() or len(opened) >= MOST_OPEN
        if (wait := due - time.monotonic()) > 0:
            if not idle:
                return
            self._stop.wait(wait)
        opened.popleft()
        status, job = client.ask("GET", f"/v1/jobs/{job_id}")
        if status != 200:
            self._ledger.doubled.append(f"{job_id}: GET answered {status}, {job}")
        elif job["finished_at"]:
            self._ledger.saw(job)
        else:
            opened.append((time.monotonic() + FIRST_LOOK_S, job_id))


class _Client:
    """One connection at a time, and no loss of patience."""

    def __init__(self, stack: Stack, asked: Counter[str], stop: threading.Event) -> None:
        self._stack = stack
        self._asked = asked
        self._stop = stop
        self._connection: http.client.HTTPConnection | None = None

    def close(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None

    def submit(self, body: dict[str, Any], key: str, wait: bool) -> Any | None:
        """The accepted job; None if it was refused for good."""
        headers = {"Idempotency-Key": key} | ({"Prefer": "wait=1"} if wait else {})
        status, answer = self.ask("POST", "/v1/jobs", json.dumps(body).encode(), headers)
        if status in {200, 202}:
            return answer
        assert (status, answer["code"]) == (503, "overloaded"), answer
        return None

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Status and body of the first answer that is one: a service that is away has none.

        Raises:
            Stopped: there was none until the end.
        """
        common = {
            "Authorization": f"Bearer {self._stack.settings.api_key}",
            "Content-Type": "application/json",
        }
        while not self._stop.is_set():
            try:
                status, answer = self._exchange(method, path, body, common | (headers or {}))
            except (OSError, http.client.HTTPException):
                self.close()
                self._asked["no answer"] += 1
                self._stop.wait(AGAIN_S)
                continue
            self._asked[str(status)] += 1
            late = status == 503 and "deadline" in answer["detail"]
            if status < 500 or late:
                return status, answer
            assert status == 503, answer
            self._stop.wait(AGAIN_S)
        raise Stopped

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, Any]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(
                "127.0.0.1", self._stack.settings.port, timeout=90
            )
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        return response.status, json.loads(response.read())


def _kind(chance: random.Random, key: str) -> Kind:
    if int(key.partition("-")[2]) * CLIENTS % POISON_EVERY == 0 and key.startswith("0-"):
        return Kind.POISON
    drawn = chance.random()
    for kind, share in SHARES.items():
        if drawn < share:
            return kind
        drawn -= share
    return Kind.PLAIN
