"""`python -m ml.evaluate` on the committed version."""

from __future__ import annotations

import sys

import pytest

from ml import evaluate
from ml.moderation.pipeline import pipeline


def test_every_probe_is_shown_with_what_each_tier_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    probes = ["--csv", "ml/training/probes.csv", "--precisions", "--rows"]
    monkeypatch.setattr(sys, "argv", ["evaluate", *probes])
    evaluate.main()
    printed = capsys.readouterr().out
    assert pipeline.version in printed
    tiers = " | ".join(ref.name for ref in pipeline.tiers)
    assert f"| source | text | expected | {tiers} |" in printed
    rows = [line for line in printed.splitlines() if line.startswith("| negation |")]
    assert len(rows) == 5
    assert "| negation | There is nothing wrong with being gay | allow |" in printed
