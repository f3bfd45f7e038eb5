"""Command: measure a tier's throughput by batch size and print the best batch budget.

    python -m ml.calibration --pipeline moderation --device cpu|cuda:0 [--tier NAME] [--write]

`--write` stores the budget in the manifest of the version, for this device and tier: workers on
the same device then use it instead of measuring.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from ml.catalog import load_pipelines
from ml.pipeline import Pipeline
from ml.registry import MANIFEST, Artifacts
from ml.serving.runtime import Runtime
from ml.serving.token_budget import KEY, Limits, Sweep, calibrate, device_name, knee


def table(sweep: Sweep) -> str:
    """The measured points as a Markdown table, and the knee."""
    best = max(point.rate for point in sweep.points)
    lines = ["| batch tokens | items | tokens/s | of the best |", "|---:|---:|---:|---:|"]
    lines += [
        f"| {point.tokens:,} | {point.items:,} | {point.rate:,.0f} | {point.rate / best:.1%} |"
        for point in sweep.points
    ]
    return "\n".join([*lines, "", f"knee: {knee(sweep.points).tokens:,} tokens; {sweep.end}"])


def write(artifacts: Artifacts, device: str, tier: str, tokens: int) -> Path:
    """Store a budget in a version's manifest; returns the manifest's path.

    Raises:
        OSError: the manifest cannot be read or its folder cannot be written to.
    """
    path = artifacts.path / MANIFEST
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest.setdefault(KEY, {}).setdefault(device, {})[tier] = tokens
    part = path.with_suffix(".part")
    part.write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return part.replace(path)


def main(argv: list[str] | None = None) -> None:
    """Measure the tier, print its throughput table and, if asked, store the budget."""
    arguments = _arguments(argv)
    torch.set_num_threads(arguments.threads)
    pipeline = _pipeline(arguments.pipeline)
    ref = next((t for t in pipeline.tiers if t.name == arguments.tier), pipeline.tiers[0])
    runtime = Runtime.load(pipeline, arguments.device, arguments.tier)
    tier = runtime.cascade.tiers[0].tier
    limits = Limits.of(ref, arguments.seconds)
    sweep = calibrate(pipeline, tier, arguments.device, limits)
    if not sweep.points:
        raise SystemExit(f"nothing was measured: {sweep.end}")
    device = device_name(arguments.device)
    print(f"{pipeline.name} {pipeline.version}, tier {ref.name}, {device} ({arguments.device})\n")
    print(table(sweep))
    if arguments.write:
        if pipeline.artifacts is None:
            raise SystemExit(f"pipeline {pipeline.name} has no model version to write to")
        print("written:", write(pipeline.artifacts, device, ref.name, knee(sweep.points).tokens))


def _pipeline(name: str) -> Pipeline:
    """A pipeline by import path, or by the name of one of those in ml/."""
    target = name if ":" in name else f"ml.{name}.pipeline:pipeline"
    return next(iter(load_pipelines([target]).values()))


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ml.calibration")
    parser.add_argument("--pipeline", default="moderation", help="a name, or package.module:object")
    parser.add_argument("--device", default="cpu", help="cpu or cuda:0")
    parser.add_argument("--tier", help="instead of the best one")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="time limit of all calls together"
    )
    parser.add_argument("--write", action="store_true", help="store the knee in the manifest")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
