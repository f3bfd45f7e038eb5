"""`python -m bench.autoscale`: simulates Penstock's autoscaling beside Celery's and KEDA's.

Compares waiting times and worker-hours. Nothing is started. Waits are counted in whole seconds.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import machine
from bench.autoscale_rules import Celery, Keda, Penstock
from bench.autoscale_sim import HOUR, NODE, POOL, Run, Setup, Trace, simulate, traces

# Queue length a pod, as shares of what one worker does within the target wait.
THRESHOLDS = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.0)
TURNS_WITHIN_S = 60  # as Limits.cool_down_s
Swept = Mapping[float, Run]
HEAD = (
    "| workers | trace | rule | p95 wait s | target met | worker-hours | reversals | most in 60 s |"
)


def kedas(trace: Trace, setup: Setup, seed: int) -> Swept:
    """A run with each threshold."""
    whole = setup.limits.target_wait_s * setup.rate
    found = {}
    for share in THRESHOLDS:
        threshold = max(1.0, share * whole)
        found[threshold] = simulate(trace, setup, Keda(setup.limits, threshold), seed)
    return found


def best(runs: Swept) -> Run:
    """The cheapest run that meets the target; if none does, the one with the shortest wait."""
    met = [run for run in runs.values() if run.met]
    if met:
        return min(met, key=lambda run: run.hours)
    return min(runs.values(), key=lambda run: (run.p95_s, run.hours))


def best_for_all(swept: Sequence[Swept]) -> float:
    """The threshold that meets the target on most traces; of several the cheapest."""

    def worth(threshold: float) -> tuple[int, float]:
        runs = [runs[threshold] for runs in swept]
        return -sum(run.met for run in runs), sum(run.hours for run in runs)

    return min(swept[0], key=worth)


def compare(setup: Setup, every: Sequence[Trace], seed: int) -> Iterator[list[Run]]:
    """For each trace: Penstock, Celery, KEDA at its best here, KEDA with one threshold."""
    swept = [kedas(trace, setup, seed) for trace in every]
    one = best_for_all(swept)
    for trace, runs in zip(every, swept, strict=True):
        ours = simulate(trace, setup, Penstock(setup), seed)
        celery = simulate(trace, setup, Celery(setup.limits), seed)
        here, anywhere = best(runs), runs[one]
        named = replace(here, rule=f"{here.rule} (best here)")
        yield [ours, celery, named, replace(anywhere, rule=f"{anywhere.rule} (best for all)")]


def most_within(moments: Sequence[int], window_s: int) -> int:
    """The greatest number of `moments` in any window (its end excluded)."""
    return max((sum(a <= b < a + window_s for b in moments) for a in moments), default=0)


def line(setup: Setup, run: Run) -> str:
    turns = run.reversals
    met, most = "yes" if run.met else "**no**", most_within(turns, TURNS_WITHIN_S)
    cells = (setup.name, run.trace, run.rule, run.p95_s, met, f"{run.hours:,.2f}", len(turns), most)
    return f"| {' | '.join(map(str, cells))} |"


def plot(setup: Setup, groups: Sequence[Sequence[Run]], path: Path) -> None:
    """Plot a row per trace: workers on the left, age of the oldest waiting unit on the right."""
    import matplotlib as mpl  # noqa: PLC0415 - only plots need it

    mpl.use("Agg")
    from matplotlib import pyplot  # noqa: PLC0415

    figure, rows = pyplot.subplots(len(groups), 2, figsize=(11, 1.9 * len(groups)), squeeze=False)
    for (left, right), runs in zip(rows, groups, strict=True):
        for run in runs[:3]:
            _curves(left, right, run)
        right.axhline(setup.limits.target_wait_s, color="black", linestyle=":", linewidth=1)
        right.set_ylim(0, 3 * setup.limits.target_wait_s)
        left.set_ylabel(runs[0].trace)
    rows[0][0].set_title(f"workers ({setup.name})")
    rows[0][1].set_title("age of the oldest unit, s; dotted: target")
    rows[0][0].legend(["Penstock", "Celery --autoscale", "KEDA, best threshold"], fontsize=7)
    for last in rows[-1]:
        last.set_xlabel("hours")
    figure.tight_layout()
    figure.savefig(path, dpi=55)
    pyplot.close(figure)


def _curves(left: Any, right: Any, run: Run) -> None:
    every = max(1, len(run.sizes) // 1_440)
    spans = range(0, len(run.sizes), every)
    hours = [s / HOUR for s in spans]
    ages = [max(run.ages[s : s + every]) for s in spans]
    left.plot(hours, [run.sizes[s] for s in spans], linewidth=1)
    right.plot(hours, ages, linewidth=1)


def main(argv: Sequence[str]) -> int:
    options = _parser().parse_args(argv)
    print(f"seed {options.seed}; {json.dumps(machine.describe())}\n")
    print(f"{HEAD}\n|{'---|' * 8}")
    for setup in (POOL, NODE):
        groups = []
        for runs in compare(setup, traces(options.seed, options.hours), options.seed):
            print(*(line(setup, run) for run in runs), sep="\n", flush=True)
            groups.append(runs)
        if options.plots:
            plot(setup, groups, options.plots / f"autoscale-{setup.name.split()[0].lower()}.png")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m bench.autoscale", description=__doc__)
    add = parser.add_argument
    add("--seed", type=int, default=7)
    add("--hours", type=float, default=1.0, help="length of a trace; the day is 24 times as long")
    add("--plots", type=Path, help="write autoscale-*.png to this folder")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
