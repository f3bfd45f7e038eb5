"""One measurement: runs a mode against a running system and measures CPU and memory."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

import psutil

from bench.modes import MODES, Counts, Load, run, submit_only
from bench.systems import Running, System, started


@dataclass(frozen=True)
class Sample:
    """Result of one measurement. "item": an input; a single job has one.

    rate: completed items per second. p50_ms, p99_ms: from submit to holding the result, per job.
    cpu_us: CPU microseconds per item, by role, over the whole process tree of each.
    generator_us: CPU microseconds of the load generator per request.
    others: share of the machine's CPU used by anything else meanwhile (0: undisturbed).
    """

    jobs: int
    items: int
    requests: int
    seconds: float
    rate: float
    submit_rate: float | None
    completed_rate: float | None
    p50_ms: float | None
    p99_ms: float | None
    cpu_us: Mapping[str, float]
    generator_us: float
    others: float

    @property
    def total_cpu_us(self) -> float:
        return sum(self.cpu_us.values())


def measure(running: Running, mode: str, load: Load) -> Sample:
    """Run `mode` once; raises LedgerError or ClientError if any job went wrong."""
    before, own, machine = running.fleet.cpu_us(), time.process_time(), _machine_busy_s()
    counts = run(MODES[mode], running.target, load)
    own, machine = time.process_time() - own, _machine_busy_s() - machine
    used = {role: us - before[role] for role, us in running.fleet.cpu_us().items()}
    running.fleet.check()
    others = machine - own - sum(used.values()) / 1e6
    return _sample(counts, used, own, others)


def queued_bytes(system: System, jobs: int, load: Load) -> float:
    """Redis bytes per job that waits while no worker runs: two fills, a tenth and all of `jobs`."""
    few = jobs // 10
    return (_filled_bytes(system, jobs, load) - _filled_bytes(system, few, load)) / (jobs - few)


def _filled_bytes(system: System, jobs: int, load: Load) -> int:
    """Redis's `used_memory` with that many jobs waiting and the buffers of all clients gone."""
    with started(system, with_workers=False) as running:
        submit_only(running.target, jobs, load.connections)
        running.fleet.stop("web")
        while running.redis.info("clients")["connected_clients"] > 1:
            time.sleep(0.05)
        return int(running.redis.info("memory")["used_memory"])


def quantile(values: list[float], share: float) -> float:
    """The smallest of `values` that at least `share` of them do not exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def _sample(counts: Counts, used_us: Mapping[str, float], own_s: float, others_s: float) -> Sample:
    items, latencies = counts.ledger.items, counts.latencies_s
    return Sample(
        jobs=counts.ledger.jobs,
        items=items,
        requests=counts.requests,
        seconds=counts.seconds,
        rate=items / counts.seconds,
        submit_rate=items / counts.submit_seconds if counts.submit_seconds else None,
        completed_rate=items / counts.completed_seconds if counts.completed_seconds else None,
        p50_ms=quantile(latencies, 0.5) * 1e3 if latencies else None,
        p99_ms=quantile(latencies, 0.99) * 1e3 if latencies else None,
        cpu_us={role: us / items for role, us in used_us.items()},
        generator_us=own_s * 1e6 / counts.requests,
        others=max(0.0, others_s) / (counts.seconds * (psutil.cpu_count() or 1)),
    )


def _machine_busy_s() -> float:
    """CPU seconds since boot that the machine was busy, without those that its host withheld."""
    times = psutil.cpu_times()
    return float(
        times.user
        + times.nice
        + times.system
        + getattr(times, "irq", 0.0)
        + getattr(times, "softirq", 0.0)
        + getattr(times, "steal", 0.0)
    )
