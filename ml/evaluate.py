"""Command: measure a model version on any labelled CSV file and print a table.

    python -m ml.evaluate --csv ../shared/data/test.csv.gz [--version NAME] [--pipeline NAME]

The tiers are loaded from disk as workers load them; learned tiers are measured in fp32 too.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ml.moderation.policy import Policy
from ml.registry import MODELS, Artifacts
from ml.training.data.rows import Columns, Split, read
from ml.training.evaluation import measure
from ml.training.metrics import Floats


def table(quality: Mapping[str, Any], speed: Mapping[str, Any]) -> str:
    """Figures per tier as a Markdown table."""
    sources = list(next(iter(quality.values()))["by_source"])
    head = ["tier", "mean by source", *sources, "first against rest", "macro-F1", "accuracy"]
    head += ["ECE", "ms at batch 1", "items/s at 1", "at 8", "at 32"]
    lines = [head, ["---"] * len(head)]
    for name, q in quality.items():
        shown = [q["mean_source_f1"], *q["by_source"].values(), q["allow_f1"], q["macro_f1"]]
        shown += [q["accuracy"], q["ece"]]
        s = speed.get(name, {})
        fast = [f"{s['ms_1']:.2f}", *(f"{s[f'items_s_{n}']:,.0f}" for n in (1, 8, 32))] if s else []
        lines.append([name, *(f"{value:.4f}" for value in shown), *(fast or ["-"] * 4)])
    return _markdown(lines)


def listing(artifacts: Artifacts, split: Split, scores: Mapping[str, Floats]) -> str:
    """Each row with its label and, per tier, the action and the most probable class."""
    classes = list(artifacts.manifest["classes"])
    policy = Policy.read(classes, artifacts.manifest["policy"])
    lines = [["source", "text", "expected", *scores], ["---"] * (3 + len(scores))]
    for n, text in enumerate(split.texts):
        answers = []
        for found in scores.values():
            row = dict(zip(classes, found[n].tolist(), strict=True))
            label = max(row, key=row.__getitem__)
            answers.append(f"{policy.by_threshold(row)} ({label} {row[label]:.2f})")
        lines.append([split.sources[n], text, split.labels[n], *answers])
    return _markdown(lines)


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    """Print the quality and speed of each tier on the CSV file; --json writes them to a file."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    artifacts = _artifacts(arguments)
    split = read(arguments.csv, Columns(arguments.text, arguments.label, arguments.source))
    tiers = measure.load_tiers(artifacts, "cpu", arguments.precisions)
    scores = measure.scores(artifacts, split, tiers)
    quality = measure.quality(artifacts, split, scores)
    speed = measure.speed(artifacts, split.texts[:256], tiers) if arguments.speed else {}
    print(f"{artifacts.version} on {arguments.csv.name}, {arguments.threads} threads\n")
    print(table(quality, speed))
    if arguments.rows:
        print("\n" + listing(artifacts, split, scores))
    if arguments.json:
        found = {"version": artifacts.version, "quality": quality, "speed": speed}
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _artifacts(arguments: argparse.Namespace) -> Artifacts:
    if arguments.version:
        return Artifacts.open(arguments.models / arguments.pipeline / arguments.version)
    return Artifacts.default(arguments.pipeline, arguments.models)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ml.evaluate")
    parser.add_argument("--csv", type=Path, required=True, help="labelled rows, gzipped or not")
    parser.add_argument("--pipeline", default="moderation")
    parser.add_argument("--version", help="instead of the default one")
    parser.add_argument("--models", type=Path, default=MODELS, help="where versions are kept")
    parser.add_argument("--text", default="text", help="column of the text")
    parser.add_argument("--label", default="action", help="column of the label")
    parser.add_argument("--source", default="source", help='column of the source, "" for none')
    parser.add_argument(
        "--precisions", nargs="*", default=["fp32"], help="of the learned tiers too"
    )
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--speed", action="store_true", help="measure speed as well")
    parser.add_argument("--rows", action="store_true", help="print each tier's answer to each row")
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
