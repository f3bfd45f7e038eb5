"""Random faults under load: `python -m tests.soak --seconds 600 --jobs 100000 --seed 1`.

Exits with 1 unless every accepted job ended exactly once, as it should, and as its client saw.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.eventually import eventually
from tests.faults.proxy import Proxy
from tests.soak.chaos import PROCESSES, Chaos
from tests.soak.clients import Clients
from tests.soak.ledger import Ledger, Verdict
from tests.stack import Stack

MEAN_PAUSE_S = 6.0
SETTLE_S = 120.0  # for what is open when the last fault has passed
REPORT_EVERY_S = 30.0
LOOK_S = 0.2


@contextmanager
def running(folder: Path) -> Iterator[tuple[Stack, Proxy]]:
    """A supervised stack with two gpu workers, whose processes reach Redis through a proxy."""
    stack = Stack(folder, "tests.soak.pipelines:brisk")
    proxy = Proxy(stack.settings.redis_port)
    stack.env["REDIS_PORT"] = str(proxy.port)
    try:
        stack.start_all()
        stack.start("gpu-2")
        eventually(lambda: stack.alive("gpu") == 2, "two gpu workers", within_s=60)
        with stack.supervised(*PROCESSES):
            yield stack, proxy
    finally:
        proxy.close()
        stack.stop_all()


def soak(folder: Path, seconds: float, jobs: int, seed: int, pause_s: float) -> Verdict:
    """Load and faults for `seconds`, longer if there were fewer jobs, and the reconciliation."""
    with running(folder) as (stack, proxy):
        ledger = Ledger()
        chaos = Chaos(stack, proxy, seed)
        began = told = time.monotonic()
        with Clients(stack, ledger, seed) as clients:
            with chaos.under_way(pause_s):
                while time.monotonic() < began + seconds or len(ledger.entries) < jobs:
                    clients.check()
                    time.sleep(LOOK_S)
                    if time.monotonic() > told + REPORT_EVERY_S:
                        told = time.monotonic()
                        faults = chaos.done.total()
                        say(f"{told - began:5.0f} s: {len(ledger.entries):,} jobs, {faults} faults")
            took = time.monotonic() - began
            clients.finish(SETTLE_S)
        verdict = ledger.reconcile(stack.store)
        say(f"{took:.0f} s of load, seed {seed}; answers {dict(clients.asked)}")
        say(f"{chaos.done.total()} faults: {dict(chaos.done)}")
        for line in verdict.lines():
            say(line)
        return verdict


def say(line: str) -> None:
    print(line, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--jobs", type=int, default=100_000, help="at least so many (100000)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--pause", type=float, default=MEAN_PAUSE_S, help="mean, between faults, s")
    parser.add_argument("--folder", type=Path, help="keep Redis's data and the logs there")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        verdict = soak(folder, args.seconds, args.jobs, args.seed, args.pause)
    return 0 if verdict.sound else 1


if __name__ == "__main__":
    sys.exit(main())
