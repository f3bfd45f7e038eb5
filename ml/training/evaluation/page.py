"""Plots of a version as one HTML file: confusion, calibration, and quality against cost.

Plain SVG: three simple charts are no reason for a plotting library in the training environment.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.training.metrics import Floats, Ints

_SIZE = 240
_COLOURS = ("#2b6cb0", "#dd6b20", "#2f855a", "#805ad5", "#4a5568")
_STYLE = (
    "body{font:14px sans-serif;margin:2em;max-width:70em}svg{background:#f7fafc;margin:4px 24px"
    " 24px 0}text{font-size:11px}table{border-collapse:collapse;display:inline-block;margin:4px"
    " 24px 24px 0}td,th{padding:4px 10px;text-align:right}"
)


@dataclass(frozen=True, slots=True)
class Measured:
    """A version on the test split: class indices (N,), and per tier scores (N, C) and figures."""

    version: str
    classes: Sequence[str]
    truth: Ints
    scores: Mapping[str, Floats]
    quality: Mapping[str, Any]
    speed: Mapping[str, Any]


def page(measured: Measured) -> str:
    """Render the whole page."""
    title, truth = html.escape(measured.version), measured.truth
    parts = [f"<h1>{title}: test split</h1>"]
    for name, found in measured.scores.items():
        parts.append(f"<h2>{html.escape(name)}</h2>")
        parts += [_confusion(truth, found, measured.classes), _calibration(truth, found)]
    chart = _cost_quality(measured.quality, measured.speed)
    parts += ["<h2>Quality against cost</h2>", chart]
    head = f'<!doctype html><meta charset="utf-8"><title>{title}</title>'
    return f"{head}<style>{_STYLE}</style>{''.join(parts)}\n"


def _confusion(truth: Ints, scores: Floats, classes: Sequence[str]) -> str:
    """Rows: truth; columns: most probable class; each cell its share of the row."""
    guess = scores.argmax(1)
    names = [html.escape(name) for name in classes]
    rows = ["<tr><th>truth \\ model</th>" + "".join(f"<th>{n}</th>" for n in names) + "</tr>"]
    for c, name in enumerate(names):
        of_class = guess[truth == c]
        cells = [_cell(int((of_class == g).sum()), len(of_class)) for g in range(len(names))]
        rows.append(f"<tr><th>{name}</th>{''.join(cells)}</tr>")
    return f"<table>{''.join(rows)}</table>"


def _cell(count: int, total: int) -> str:
    share = count / total if total else 0.0
    colour = f"rgba(43,108,176,{share:.2f})"
    return f'<td style="background:{colour}">{count:,} ({share:.0%})</td>'


def _calibration(truth: Ints, scores: Floats, bins: int = 10) -> str:
    """Dots: confidence (x) against accuracy (y), area by rows; perfect on the diagonal."""
    confidence, hit = scores.max(1), scores.argmax(1) == truth
    bin_index = np.minimum((confidence * bins).astype(int), bins - 1)
    dots = [_line(0, 0, 1, 1)]
    for b in range(bins):
        inside = bin_index == b
        if inside.any():
            radius = 2 + 14 * math.sqrt(inside.mean())
            x, y = float(confidence[inside].mean()), float(hit[inside].mean())
            dots.append(_dot(x, y, radius, _COLOURS[0], f"{int(inside.sum())} rows"))
    return _chart("confidence", "accuracy", dots)


def _cost_quality(quality: Mapping[str, Any], speed: Mapping[str, Any]) -> str:
    """Dots: milliseconds an item at batch 32 (x, log, 0.01 to 100) against mean F1 (y)."""
    dots = []
    for n, (name, figures) in enumerate(quality.items()):
        cost = 1000 / speed[name]["items_s_32"]
        x = min(1.0, max(0.0, (math.log10(cost) + 2) / 4))
        y = figures["mean_source_f1"]
        dots.append(_dot(x, y, 6, _COLOURS[n % len(_COLOURS)], name))
        dots.append(f'<text x="{_x(x) + 9:.0f}" y="{_y(y) + 4:.0f}">{html.escape(name)}</text>')
    return _chart("ms an item at batch 32, 0.01 to 100, log", "mean F1 by source", dots)


def _chart(x_name: str, y_name: str, marks: Sequence[str]) -> str:
    axes = [_line(0, 0, 1, 0), _line(0, 0, 0, 1)]
    names = [
        f'<text x="40" y="{_SIZE + 54}">{x_name}</text>',
        f'<text x="4" y="14">{y_name}</text>',
    ]
    size = f'width="{_SIZE + 140}" height="{_SIZE + 60}"'
    return f"<svg {size}>{''.join([*axes, *names, *marks])}</svg>"


def _x(value: float) -> float:
    return 30 + value * _SIZE


def _y(value: float) -> float:
    return 30 + (1 - value) * _SIZE


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    ends = f'x1="{_x(x1)}" y1="{_y(y1)}" x2="{_x(x2)}" y2="{_y(y2)}"'
    return f'<line {ends} stroke="#a0aec0"/>'


def _dot(x: float, y: float, radius: float, colour: str, title: str) -> str:
    circle = f'cx="{_x(x):.1f}" cy="{_y(y):.1f}" r="{radius:.1f}"'
    label = f"<title>{html.escape(title)}</title>"
    return f'<circle {circle} fill="{colour}" fill-opacity=".75">{label}</circle>'
