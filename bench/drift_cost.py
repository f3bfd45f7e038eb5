"""`python -m bench.drift_cost`: measures the cost of drift sampling, per item and over an hour.

Features of random texts are computed once. Then `tasks.drift.sampler` is timed on them, and the
cheapest tier on the same items, both on one thread.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from math import log
from pathlib import Path

import numpy as np
import torch

from bench import machine
from bench.fleet import ROOT
from ml.moderation.pipeline import pipeline
from ml.pipeline import Item
from ml.serving.outcomes import Outcome
from ml.serving.runtime import Runtime
from ml.text import clean
from ml.training.data.rows import read
from tasks.drift.sampler import DriftReservoir

ITEMS = 2_000
KEPT = 2_000  # PENSTOCK_DRIFT_SAMPLES


def seconds(call: Callable[[], object], tries: int = 5) -> float:
    """The median of a few calls."""
    took = []
    for _ in range(tries):
        began = time.perf_counter()
        call()
        took.append(time.perf_counter() - began)
    return float(np.median(took))


def main() -> int:
    parser = argparse.ArgumentParser("python -m bench.drift_cost")
    default = ROOT / ".." / "shared" / "data"
    parser.add_argument("--data", type=Path, default=default, help="folder of the splits")
    torch.set_num_threads(1)
    texts = read(parser.parse_args().data / "test.csv.gz").texts[:ITEMS]
    runtime = Runtime.load(pipeline, "cpu", pipeline.cpu_tier)
    prepared = runtime.prepare([Item({"text": clean(text)}) for text in texts])
    outcomes: list[Outcome] = runtime.run(prepared).outcomes
    answering = seconds(lambda: runtime.run(runtime.prepare(prepared.items))) / ITEMS

    def all_kept() -> None:
        DriftReservoir(pipeline, KEPT).observe(prepared, outcomes)

    none = DriftReservoir(pipeline, KEPT)
    none._limit, none._until = 0.0, float("inf")
    kept = seconds(all_kept) / ITEMS
    passed = seconds(lambda: none.observe(prepared, outcomes)) / ITEMS
    print(f"{machine.describe()['cpu']}, {machine.describe()['cores']} cores")
    print(f"an item answered by {pipeline.cpu_tier}: {answering * 1e6:.0f} us")
    print(f"its figures, if it is sampled: {kept * 1e6:.1f} us; if not: {passed * 1e6:.2f} us")
    for items in (10_000, 100_000, 1_000_000):
        sampled = KEPT * (1 + log(items / KEPT))
        share = (sampled * kept + items * passed) / (items * answering)
        print(f"{items:,} items in a window: {sampled:,.0f} sampled, {share:.2%} of the work")
    return 0


if __name__ == "__main__":
    sys.exit(main())
