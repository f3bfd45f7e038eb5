"""Which metrics there are: those of the table in docs/metrics.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_TABLE: Final = (Path(__file__).parents[2] / "docs/metrics.md").read_text()
_ROWS: Final = re.findall(r"^\| `(penstock_\w+)` \| (counter|gauge|histogram) \|", _TABLE, re.M)
_PARTS: Final = ("_bucket", "_sum", "_count")

METRICS: Final = frozenset(
    f"{name}{part}" for name, kind in _ROWS for part in (_PARTS if kind == "histogram" else ("",))
)


def metrics_in(expression: str) -> list[str]:
    """Names in PromQL that look like ours; those that rules record have a colon."""
    return re.findall(r"\bpenstock_\w+", expression)


def unknown_metrics(expression: str) -> list[str]:
    """Those of them that are none."""
    return [name for name in metrics_in(expression) if name not in METRICS]
