"""Weighted terms after folding."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ml.moderation.features import TextFeatures
from ml.moderation.models.rules import Rules, RulesTier, fold


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Plain Words", ["plain", "words"]),
        ("b4d w0rd5", ["bad", "words"]),
        ("in 2024 only", ["in", "2024", "only"]),
        ("b.a.d w-o-r-d", ["bad", "word"]),
        ("sooooo baaad", ["soo", "baad"]),
        ("caf\u00e9 na\u00efve", ["cafe", "naive"]),
        ("a$$ $tupid", ["ass", "stupid"]),
        ("great!", ["great"]),
        ("", []),
    ],
)
def test_tricks_are_folded_before_matching(text: str, words: list[str]) -> None:
    assert fold(text) == words


def toy(tmp_path: Path) -> Rules:
    path = tmp_path / "rules.json"
    terms = {"bad": [-2.0, 2.0], "not bad": [4.0, -4.0]}
    path.write_text(
        json.dumps({"classes": ["ok", "no"], "bias": [1.0, 0.0], "scale": 1.0, "terms": terms})
    )
    return Rules.read(path)


def test_scores_are_the_softmax_of_bias_and_terms_found(tmp_path: Path) -> None:
    rules = toy(tmp_path)
    assert rules.logits([]) == [1.0, 0.0]
    assert rules.logits(["bad"]) == [-1.0, 2.0]
    assert rules.logits(["not", "bad"]) == [3.0, -2.0]
    assert sum(rules.scores(["bad", "bad"]).values()) == pytest.approx(1.0)


def test_only_the_words_within_the_limit_are_read(tmp_path: Path) -> None:
    tier = RulesTier(toy(tmp_path))
    short, long = tier.predict([TextFeatures("so so so bad", [0], n) for n in (3, 4)])
    assert short.scores["ok"] > 0.5
    assert long.scores["ok"] < 0.5
