"""`python -m bench.routing`: measures cost savings and quality loss of routing.

A whole Penstock answers the test split as bulk jobs, once in each mode. The benchmark reads which
tier answered each item, compares the answers with the labels, and takes the device seconds of both
lanes from /metrics. The cache is off. A gpu lane without a GPU computes on the CPU,
on a core that it has to itself.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from bench import machine
from bench.fleet import ROOT, FleetError
from bench.systems import Running, System, penstock, started
from ml.moderation.pipeline import pipeline
from ml.training.data.rows import Split, read
from ml.training.metrics import macro_f1

MODES = ("quality", "balanced", "cheap")
DEFAULT = "default"  # no mode is requested: the pipeline's own applies
ON_GPU = pipeline.tiers[0].name
JOB_ITEMS = 500
JOB_WITHIN_S = 300.0
LANES = ("gpu", "cpu")


@dataclass(frozen=True)
class Found:
    """Results of one mode.

    seconds: device seconds by lane, for all items. tiers: items by the tier that answered. on_cpu:
    share of items that a tier below the transformer answered. f1 by source: macro-F1.
    """

    mode: str
    items: int
    tiers: Mapping[str, int]
    on_cpu: float
    mean_source_f1: float
    macro_f1: float
    by_source: Mapping[str, float]
    seconds: Mapping[str, float]
    wall_s: float

    def per_1000(self, prices: Mapping[str, float]) -> float:
        """Cost of device time per 1,000 items at these prices an hour."""
        cost = sum(self.seconds[lane] * prices[lane] / 3600 for lane in LANES)
        return 1000 * cost / self.items


class Service:
    """A running Penstock as a client sees it."""

    def __init__(self, running: Running) -> None:
        host, port = running.target.address
        headers = {"Authorization": f"Bearer {running.target.api_key}"}
        self._http = httpx.Client(base_url=f"http://{host}:{port}", headers=headers, timeout=120)

    def answers(self, texts: Sequence[str], mode: str) -> list[dict[str, Any]]:
        """The outputs in the order of the texts; RuntimeError if an item has none."""
        parts = [texts[n : n + JOB_ITEMS] for n in range(0, len(texts), JOB_ITEMS)]
        jobs = [self._submit(part, mode) for part in parts]
        return [output for job in jobs for output in self._outputs(job)]

    def device_seconds(self) -> Counter[str]:
        """Device seconds of moderation by lane, since counting began."""
        found: Counter[str] = Counter()
        for family in text_string_to_metric_families(self._get("/metrics").text):
            for sample in family.samples:
                of_ours = sample.labels.get("pipeline") == pipeline.name
                if sample.name == "penstock_device_seconds_total" and of_ours:
                    found[sample.labels["lane"]] += sample.value  # type: ignore[assignment]
        return found

    def _submit(self, texts: Sequence[str], mode: str) -> str:
        options = {} if mode == DEFAULT else {"mode": mode}
        inputs = [{"text": text} for text in texts]
        body = {"pipeline": pipeline.name, "inputs": inputs, "options": options}
        answer = self._http.post("/v1/jobs", json=body)
        if answer.status_code != 202:
            raise RuntimeError(f"submit answered {answer.status_code}: {answer.text[:500]}")
        return str(answer.json()["id"])

    def _outputs(self, job: str) -> list[dict[str, Any]]:
        deadline = time.monotonic() + JOB_WITHIN_S
        while (found := self._get(f"/v1/jobs/{job}?wait=20").json())["status"] != "succeeded":
            if found["status"] not in ("queued", "running") or time.monotonic() > deadline:
                raise RuntimeError(f"{job} is {found['status']} after {JOB_WITHIN_S} s or before")
        lines = map(json.loads, self._get(f"/v1/jobs/{job}/results").text.splitlines())
        return [_output(line) for line in lines]

    def _get(self, path: str) -> httpx.Response:
        return self._http.get(path).raise_for_status()


def _output(line: Mapping[str, Any]) -> dict[str, Any]:
    if line["status"] != "succeeded":
        raise RuntimeError(f"an item did not succeed: {line}")
    output: dict[str, Any] = line["output"]
    if output["degraded"]:
        raise RuntimeError(f"an item was answered by a lower tier than it should be: {line}")
    return output


def measure(service: Service, split: Split, mode: str) -> Found:
    """Submit all texts of a split in one mode and measure."""
    before, began = service.device_seconds(), time.monotonic()
    outputs = service.answers(split.texts, mode)
    wall = time.monotonic() - began
    after = service.device_seconds()
    seconds = {lane: after[lane] - before[lane] for lane in LANES}
    return score(split, outputs, mode, seconds, wall)


def score(
    split: Split,
    outputs: Sequence[Mapping[str, Any]],
    mode: str,
    seconds: Mapping[str, float],
    wall_s: float,
) -> Found:
    """Compare the answers with the labels."""
    classes = list(pipeline.classes)
    truth, source = np.array(split.indices(classes)), np.array(split.sources)
    guess = np.array([classes.index(output["label"]) for output in outputs])
    by_source = {
        str(s): macro_f1(truth[source == s], guess[source == s]) for s in np.unique(source)
    }
    tiers = Counter(str(output["tier"]) for output in outputs)
    return Found(
        mode=mode,
        items=len(outputs),
        tiers=dict(tiers),
        on_cpu=1 - tiers[ON_GPU] / len(outputs),
        mean_source_f1=float(np.mean(list(by_source.values()))),
        macro_f1=macro_f1(truth, guess),
        by_source=by_source,
        seconds=dict(seconds),
        wall_s=wall_s,
    )


def table(found: Sequence[Found], prices: Mapping[str, float]) -> str:
    """A line per mode; losses and savings are relative to the first."""
    whole, equal = found[0], dict.fromkeys(LANES, 1.0)
    lines = [
        "mode        on CPU  mean F1  pooled  gpu s/1k  cpu s/1k    cost/1k  cost  at one price"
    ]
    for one in found:
        gpu, cpu = (1000 * one.seconds[lane] / one.items for lane in LANES)
        lines.append(
            f"{one.mode:<10} {one.on_cpu:7.1%} {one.mean_source_f1:8.4f} {one.macro_f1:7.4f} "
            f"{gpu:9.3f} {cpu:9.3f} {one.per_1000(prices):10.7f} "
            f"{one.per_1000(prices) / whole.per_1000(prices):5.1%} "
            f"{one.per_1000(equal) / whole.per_1000(equal):8.1%}"
        )
    return "\n".join(lines)


def verdicts(found: Sequence[Found], prices: Mapping[str, float]) -> list[str]:
    """Loss and saving of each mode, relative to the first."""
    first = found[0]
    return [
        f"{one.mode}: {one.on_cpu:.1%} on the CPU, "
        f"{100 * (first.mean_source_f1 - one.mean_source_f1):+.2f} points of macro-F1 lost "
        f"({100 * (first.macro_f1 - one.macro_f1):+.2f} pooled), "
        f"{1 - one.per_1000(prices) / first.per_1000(prices):.1%} cheaper than {first.mode}"
        for one in found[1:]
    ]


def system() -> System:
    """Penstock with its usual settings, except that no answer comes from the cache and none is
    degraded because the gpu lane is full: each item waits for the tier that its mode selects."""
    plain = penstock("everysec")
    env = {"PENSTOCK_CACHE_TTL_S": "0", "PENSTOCK_GPU_PATIENCE_MS": "3600000"}
    workers = {lane: (*_alone(lane), *command) for lane, command in plain.workers.items()}
    return replace(plain, env={**plain.env, **env}, workers=workers)


def _alone(lane: str) -> tuple[str, ...]:
    """The command that starts the gpu lane's worker on a core of its own, as it would have its own
    device: else the cpu lane's work, which only some modes have, would count as device time.
    """
    cores = sorted(os.sched_getaffinity(0))
    if lane == "gpu" and len(cores) > 1 and (taskset := shutil.which("taskset")):
        return (taskset, "--cpu-list", str(cores[0]))
    return ()


@contextmanager
def _core_left() -> Iterator[None]:
    """Keep processes that are started meanwhile off the gpu lane's core, if there is another."""
    cores = os.sched_getaffinity(0)
    if len(cores) > 1 and shutil.which("taskset"):
        os.sched_setaffinity(0, sorted(cores)[1:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def main(argv: Sequence[str]) -> int:
    options = _parser().parse_args(argv)
    begun = datetime.now(UTC)
    split = _some(read(options.data / "test.csv.gz"), options.rows)
    prices = {"gpu": options.gpu_price, "cpu": options.cpu_price}
    try:
        whole = system()
        with _core_left(), started(whole) as running:
            service = Service(running)
            for mode in options.modes:  # not a measurement: it wakes both lanes
                service.answers(split.texts[:32], mode)
            found = [measure(service, split, mode) for mode in options.modes]
    except (FleetError, httpx.HTTPError, RuntimeError) as error:
        print(f"The benchmark failed, nothing counts: {error}", file=sys.stderr)
        return 1
    print(table(found, prices), "", *verdicts(found, prices), sep="\n")
    path = ROOT / "var" / "bench" / f"routing-{begun:%Y-%m-%dT%H-%M-%SZ}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "machine": machine.describe(),
        "version": pipeline.version,
        "prices": prices,
        "modes": [asdict(one) for one in found],
    }
    path.write_text(json.dumps(document, indent=1) + "\n")
    print(f"\nwritten: {path}")
    return 0


def _some(split: Split, rows: int | None) -> Split:
    """About so many rows, evenly spread over the split, since it is sorted by source."""
    step = max(1, len(split) // rows) if rows else 1
    return Split(split.texts[::step], split.labels[::step], split.sources[::step], split.sha256)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m bench.routing", description=__doc__)
    add = parser.add_argument
    data = ROOT.parent / "shared" / "data"
    add("--data", type=Path, default=data, help="folder of the splits (default ../shared/data)")
    add("--rows", type=int, help="only about so many of the test split: a check that it works")
    add(
        "--modes", type=_modes, default=MODES, help="comma-separated; others compare with the first"
    )
    add("--gpu-price", type=float, default=2.50, help="of an hour of the gpu lane (default 2.50)")
    add("--cpu-price", type=float, default=0.05, help="of an hour of the cpu lane (default 0.05)")
    return parser


def _modes(text: str) -> list[str]:
    chosen = text.split(",")
    if unknown := [mode for mode in chosen if mode not in (*MODES, DEFAULT)]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: choose from {', '.join(MODES)}")
    return chosen


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
