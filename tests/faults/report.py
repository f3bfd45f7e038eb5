"""What a fault test measured, printed when all have run: the table of docs/reliability.md."""

from __future__ import annotations

from typing import Any

import pytest

MEASURED = pytest.StashKey[list[tuple[str, str]]]()


class Report:
    """Call it with a fault and its figures: report("SIGKILL of Redis", lost=0, recovered_s=2.1)."""

    def __init__(self, rows: list[tuple[str, str]]) -> None:
        self._rows = rows

    def __call__(self, fault: str, **figures: Any) -> None:
        text = ", ".join(f"{name.replace('_', ' ')} {_short(n)}" for name, n in figures.items())
        self._rows.append((fault, text))


def _short(figure: Any) -> str:
    return f"{figure:.1f}" if isinstance(figure, float) else str(figure)
