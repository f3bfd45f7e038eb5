"""The four ways to use a job API, each as a conversation that many connections run at once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from bench.client import Conversation, Driver
from bench.traffic import TERMINAL, Ledger, Target, bulk, single, until

HOLD_S = 30  # how long a client asks the server to hold its request


@dataclass(frozen=True)
class Load:
    """Load settings, the same for every system. Times in seconds."""

    connections: int = 32
    seconds: float = 8.0
    poll_pause_s: float = 0.02
    drain_jobs: int = 6_000
    drain_pause_s: float = 0.05
    bulk_connections: int = 8
    bulk_sizes: tuple[int, ...] = (100, 250, 500, 1_000)


@dataclass
class Counts:
    """Counts of one measurement. latencies_s: from sending a submit to having its result."""

    ledger: Ledger = field(default_factory=Ledger)
    latencies_s: list[float] = field(default_factory=list)
    seconds: float = 0.0
    submit_seconds: float = 0.0
    completed_seconds: float = 0.0
    requests: int = 0


Mode = Callable[[Target, Load, Counts], list[Conversation]]


def run(mode: Mode, target: Target, load: Load) -> Counts:
    """Run the mode's conversations against `target` and check the ledger.

    Raises:
        LedgerError: any job was lost, ended twice or did not succeed.
        ClientError: the server closed a connection or stopped answering.
    """
    counts = Counts()
    driver = Driver(target.address)
    conversations = mode(target, load, counts)
    start = perf_counter()
    driver.run(conversations)
    counts.seconds = perf_counter() - start
    counts.requests = driver.requests
    counts.ledger.settle()
    return counts


def wait(target: Target, load: Load, counts: Counts) -> list[Conversation]:
    """Submit with `Prefer: wait`; the answer is the finished job."""
    bodies = _singles_for(load)

    def converse() -> Conversation:
        for body in bodies:
            start = perf_counter()
            job = counts.ledger.accept((yield target.post(body, HOLD_S)))
            while job["status"] not in TERMINAL:
                job = counts.ledger.read((yield _get(target, job, hold=True)))
            counts.latencies_s.append(perf_counter() - start)
            counts.ledger.end(job)

    return [converse() for _ in range(load.connections)]


def poll(target: Target, load: Load, counts: Counts) -> list[Conversation]:
    """Submit, then read at once and after every pause until the job has ended."""
    bodies = _singles_for(load)

    def converse() -> Conversation:
        for body in bodies:
            start = perf_counter()
            job = counts.ledger.accept((yield target.post(body)))
            yield from _poll_to_end(target, counts, job, load.poll_pause_s)
            counts.latencies_s.append(perf_counter() - start)

    return [converse() for _ in range(load.connections)]


def drain(target: Target, load: Load, counts: Counts) -> list[Conversation]:
    """Submit everything as fast as the server takes it, wait for its end, read every result.

    Each connection waits for its last job, so that polling costs next to nothing meanwhile.
    """
    bodies = iter([single() for _ in range(load.drain_jobs)])
    begin = perf_counter()

    def converse() -> Conversation:
        jobs = []
        for body in bodies:
            response = yield target.post(body)
            jobs.append(counts.ledger.accept(response))
        counts.submit_seconds = perf_counter() - begin
        for number, job in enumerate(reversed(jobs)):
            yield from _poll_to_end(target, counts, job, load.drain_pause_s)
            if number == 0:
                counts.completed_seconds = perf_counter() - begin

    return [converse() for _ in range(load.connections)]


def batch(target: Target, load: Load, counts: Counts) -> list[Conversation]:
    """Submit bulk jobs; wait for each and read its results."""
    sizes = until(perf_counter() + load.seconds, itertools.cycle(load.bulk_sizes))

    def converse() -> Conversation:
        for items in sizes:
            body = bulk(items)
            start = perf_counter()
            job = counts.ledger.accept((yield target.post(body)), items)
            while job["status"] not in TERMINAL:
                job = counts.ledger.read((yield _get(target, job, hold=True)))
            results = yield target.get(f"/v1/jobs/{job['id']}/results")
            counts.latencies_s.append(perf_counter() - start)
            counts.ledger.end_bulk(job, results)

    return [converse() for _ in range(load.bulk_connections)]


MODES: dict[str, Mode] = {"wait": wait, "poll": poll, "drain": drain, "bulk": batch}


def submit_only(target: Target, jobs: int, connections: int) -> None:
    """Fill the queue with `jobs` jobs while no worker runs."""
    ledger = Ledger()
    bodies = iter([single() for _ in range(jobs)])

    def converse() -> Conversation:
        for body in bodies:
            ledger.accept((yield target.post(body)))

    Driver(target.address).run([converse() for _ in range(connections)])


def _singles_for(load: Load) -> Iterator[bytes]:
    return until(perf_counter() + load.seconds, (single() for _ in itertools.count()))


def _get(target: Target, job: dict[str, Any], *, hold: bool = False) -> bytes:
    return target.get(f"/v1/jobs/{job['id']}" + (f"?wait={HOLD_S}" if hold else ""))


def _poll_to_end(
    target: Target, counts: Counts, job: dict[str, Any], pause_s: float
) -> Conversation:
    job = counts.ledger.read((yield _get(target, job)))
    while job["status"] not in TERMINAL:
        yield pause_s
        job = counts.ledger.read((yield _get(target, job)))
    counts.ledger.end(job)
