"""Plots the routing curve. Needs matplotlib, which is a development requirement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

_HOLLOW: Any = {"markersize": 10, "fillstyle": "none", "markeredgewidth": 2}


def draw(points: Sequence[Mapping[str, float]], said: Mapping[str, Any], path: Path) -> None:
    """Quality over the share on the CPU lane, and quality over cost; dev, and the test's point."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    whole = points[0]["mean_source_f1"]
    for axes, x in ((left, "on_cpu"), (right, "cost")):
        ordered = sorted(points, key=lambda point: point[x])
        quality = [100 * (point["mean_source_f1"] - whole) for point in ordered]
        axes.plot([100 * point[x] for point in ordered], quality, ".-", label="dev")
        for split, mark in (("dev", "o"), ("test", "x")):
            found, base = said[split]["balanced"], said[split]["quality"]["mean_source_f1"]
            lost = 100 * (found["mean_source_f1"] - base)
            axes.plot([100 * found[x]], [lost], mark, label=f"balanced, {split}", **_HOLLOW)
        axes.axhline(-100 * said["budget"], linestyle="--", color="grey", label="budget")
        axes.grid(alpha=0.3)
    left.set_xlabel("items answered on the CPU lane, %")
    right.set_xlabel("device seconds, % of the transformer for everything")
    left.set_ylabel("mean per-source macro-F1,\npoints against the transformer")
    left.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
