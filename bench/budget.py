"""`python -m bench.budget`: measures a tier's items per second on real texts, by batch budget.

Claims of as many texts as a worker takes at once are packed by each budget and run, one thread, the
budgets in turn, several rounds. `ml.calibration` chooses by texts of one length; here they differ,
so padding counts as well.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from bench import machine
from bench.fleet import ROOT
from ml.moderation.pipeline import pipeline
from ml.pipeline import Item
from ml.serving.runtime import Prepared, Runtime
from ml.text import clean
from ml.training.data.rows import read

BUDGETS = (64, 128, 256, 512, 1_024, 2_048, 4_096)
TEXTS = {"transformer": 512, "cnn": 4_096}


def main() -> int:
    parser = argparse.ArgumentParser("python -m bench.budget")
    default = ROOT / ".." / "shared" / "data"
    parser.add_argument("--data", type=Path, default=default, help="folder of the splits")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    texts = read(arguments.data / "dev.csv.gz").texts
    print(f"{machine.describe()['cpu']}, {machine.describe()['cores']} cores, one thread")
    for tier, count in TEXTS.items():
        items = [Item({"text": clean(text)}) for text in texts[:count]]
        runtime = Runtime.load(pipeline, "cpu", tier)
        runtime.warm_up()
        most = pipeline.batch_items
        claims = [items[first : first + most] for first in range(0, len(items), most)]
        show(tier, runtime, claims, arguments.rounds)
    return 0


def show(tier: str, runtime: Runtime, claims: Sequence[Sequence[Item]], rounds: int) -> None:
    """Print a row per budget: items a second (median, least, most) and the share of padding."""
    packed = {budget: pack(runtime, claims, budget) for budget in BUDGETS}
    rates: dict[int, list[float]] = {budget: [] for budget in BUDGETS}
    for _ in range(rounds):
        for budget, batches in packed.items():
            rates[budget].append(rate(runtime, batches))
    print(f"\n| budget | {tier}, items/s | least | most | padding |\n|---:|---:|---:|---:|---:|")
    for budget, found in rates.items():
        row = f"{np.median(found):,.0f} | {min(found):,.0f} | {max(found):,.0f}"
        print(f"| {budget:,} | {row} | {padding(packed[budget]):.0%} |")


def pack(runtime: Runtime, claims: Sequence[Sequence[Item]], budget: int) -> list[Prepared]:
    runtime.batch_tokens = budget
    return [runtime.prepare(claim) for claim in claims]


def rate(runtime: Runtime, batches: Sequence[Prepared]) -> float:
    began = time.perf_counter()
    for prepared in batches:
        runtime.run(prepared)
    return sum(len(prepared.items) for prepared in batches) / (time.perf_counter() - began)


def padding(batches: Sequence[Prepared]) -> float:
    """Share of padding among the tokens that a tier is given."""
    costs = [one for prepared in batches for one in prepared.costs()]
    padded = sum(len(batch) * max(batch) for batch in costs)
    return 1 - sum(map(sum, costs)) / padded


if __name__ == "__main__":
    sys.exit(main())
