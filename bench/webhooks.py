"""`python -m bench.webhooks`: measures webhook deliveries, beside one Celery task for each.

All have the same Redis (`appendfsync always`), receiver (`bench.receiver`) and bodies. Rate: all
events wait before the worker starts; from the first arrival to the last. Latency: a trickle, from
the end of a job (or the publication of a task) to the arrival. Every event must arrive, or the
bench fails and reports nothing.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from bench import machine
from bench.fleet import Fleet, FleetError
from bench.measure import quantile
from bench.report import Row, as_markdown, as_text, number
from bench.senders import Penstock, Plain, Sender, ready

WITHIN_S = 180.0
BATCH = 5
POOLS = (
    ("--concurrency=4", "--prefetch-multiplier=4"),
    ("--concurrency=8", "--prefetch-multiplier=4"),
    ("--pool=threads", "--concurrency=32"),
)


@dataclass(frozen=True)
class Load:
    """deliveries: for the rate. per_s, seconds: of the trickle. endpoints: used in turn."""

    deliveries: int = 5_000
    per_s: int = 50
    seconds: int = 10
    endpoints: int = 50


QUICK = Load(deliveries=500, seconds=2)


@dataclass(frozen=True)
class Found:
    """cpu_us: CPU microseconds per delivery while many wait: Redis and the worker."""

    name: str
    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: float


Make = Callable[[Fleet, Mapping[str, str]], Sender]


def measure(make: Make, load: Load) -> Found:
    with ready(make) as sender:
        sender.queue(load.deliveries)
        sender.start_worker()
        first = _arrivals(sender, 1)
        before = sender.fleet.cpu_us()
        times = sorted(_arrivals(sender, load.deliveries, first).values())
        used = sender.fleet.cpu_us()
        left = max(1, load.deliveries - len(first))
        cpu_us = sum(used[role] - before[role] for role in ("redis", "worker")) / left
        waits = _trickle(sender, load)
        rate = (load.deliveries - 1) / (times[-1] - times[0])
        p50, p99 = quantile(waits, 0.5) * 1e3, quantile(waits, 0.99) * 1e3
        return Found(sender.name, rate, p50, p99, cpu_us)


def _arrivals(
    sender: Sender, count: int, found: Mapping[str, float] | None = None
) -> dict[str, float]:
    """All arrivals, once there are `count` of them."""
    every = dict(found or {})
    give_up = time.monotonic() + WITHIN_S
    while len(every) < count:
        every |= sender.arrived() or {}
        sender.fleet.check()
        if time.monotonic() > give_up:
            raise FleetError(f"{len(every)} of {count} came:\n{sender.fleet.tail('worker')}")
        time.sleep(0.02)
    return every


def _trickle(sender: Sender, load: Load) -> list[float]:
    sender.queued.clear()
    began = time.monotonic()
    for batch in range(load.per_s * load.seconds // BATCH):
        time.sleep(max(0.0, began + batch * BATCH / load.per_s - time.monotonic()))
        sender.queue(BATCH)
    came = _arrivals(sender, len(sender.queued))
    return [came[event] - moment for event, moment in sender.queued.items()]


def _example(load: Load) -> str:
    with ready(partial(Penstock, endpoints=load.endpoints)) as sender:
        assert isinstance(sender, Penstock)
        return sender.example()


def _makers(load: Load, body: str) -> list[Make]:
    plain: list[Make] = [
        partial(Plain, endpoints=load.endpoints, pool=pool, body=body) for pool in POOLS
    ]
    return [partial(Penstock, endpoints=load.endpoints), *plain]


def table(found: Sequence[Found]) -> list[Row]:
    return [
        Row("deliveries/s", [number(one.rate) for one in found]),
        Row("p50 ms", [number(one.p50_ms) for one in found]),
        Row("p99 ms", [number(one.p99_ms) for one in found]),
        Row("CPU us/delivery", [number(one.cpu_us) for one in found]),
    ]


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser("python -m bench.webhooks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short: a check, not a result")
    parser.add_argument("--endpoints", type=int, default=Load.endpoints)
    options = parser.parse_args(argv)
    short = QUICK if options.quick else Load()
    load = Load(short.deliveries, short.per_s, short.seconds, options.endpoints)
    try:
        found = [measure(make, load) for make in _makers(load, _example(load))]
    except FleetError as error:
        print(f"The benchmark failed, nothing counts: {error}", file=sys.stderr)
        return 1
    names = [one.name for one in found]
    print(", ".join(machine.describe().values()))
    print(as_text(table(found), names), as_markdown(table(found), names), sep="\n\n")
    best = max(one.rate for one in found[1:])
    print(f"\n{found[0].rate / best:.2f} times the best of the others")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
