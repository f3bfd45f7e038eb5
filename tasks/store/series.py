"""Names of the counters in Redis (ps:series): a metric's name and its labels, joined by `|`.

includes/series.lua adds to the counters; `app.metrics.counters` exports them to Prometheus.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# Upper bounds of histogram buckets, without the last, which has none. The bounds of seconds are in
# includes/series.lua too.
SECONDS_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
CONFIDENCE_BOUNDS: Final = tuple(n / 20 for n in range(1, 20))

# Label values: there is no tier or version; there are several; too many to be named.
NONE, MIXED, OTHER = "none", "mixed", "other"

_UNFIT = str.maketrans({"|": "_", "\n": "_"})


def series_key(*parts: str) -> str:
    """The field of ps:series for a metric's name and its label values."""
    return "|".join(part.translate(_UNFIT) for part in parts)


def select_series(series: Mapping[str, str], name: str) -> dict[tuple[str, ...], int]:
    """The values of one metric among all series in Redis, by label values."""
    return {
        tuple(labels): int(amount)
        for of, *labels, amount in ((*key.split("|"), count) for key, count in series.items())
        if of == name
    }
