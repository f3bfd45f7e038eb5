from __future__ import annotations

import pytest

from bench import budget
from ml.serving.runtime import Runtime
from tests.ml.toys import Toy, item


def test_each_budget_has_a_row_with_its_padding(capsys: pytest.CaptureFixture[str]) -> None:
    runtime = Runtime.load(Toy(), "cpu")
    claims = [[item("x" * 30), item("x" * 60)], [item("x" * 30)]]
    budget.show("toy", runtime, claims, rounds=1)
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines()[3:]]
    shares = {row[1].strip(): row[5].strip() for row in rows}
    assert list(shares) == [f"{size:,}" for size in budget.BUDGETS]
    assert shares["64"] == "0%"  # each alone
    assert shares["128"] == "20%"  # 120 of 150 tokens
