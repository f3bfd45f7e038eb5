"""What is watched of a text, and the reference that the shipped version has."""

from __future__ import annotations

from typing import Any

import pytest

from ml.drift.reference import REFERENCE
from ml.moderation.features import Featuriser
from ml.moderation.pipeline import pipeline
from ml.pipeline import Item
from ml.serving.cascade import Member


def figures(text: str) -> dict[str, float]:
    item = Item({"text": text})
    (features,) = pipeline.features([item])
    return dict(pipeline.drift_features(item, features))


def test_lengths_and_shares_of_a_text() -> None:
    found = figures("Hello, you THERE!")
    assert found["length"] == 17
    assert found["capitals"] == pytest.approx(6 / 17)
    assert found["punctuation"] == pytest.approx(2 / 17)
    assert found["non_latin"] == 0
    assert found["tokens"] == 7  # with [CLS] and [SEP]
    assert found["out_of_vocabulary"] == 0


def test_letters_of_other_scripts_are_a_share_of_the_letters() -> None:
    assert figures("hello \u043f\u0440\u0438\u0432\u0435\u0442!")["non_latin"] == pytest.approx(
        6 / 11
    )


@pytest.mark.parametrize(
    ("text", "share"),
    [("good morning", 0), ("good xqzvkw", 0.5), ("xqzvkw", 1), ("", 0)],
)
def test_a_word_that_the_vocabulary_does_not_hold_whole_is_unknown(
    featuriser: Featuriser, text: str, share: float
) -> None:
    (features,) = featuriser([text], [256])
    assert featuriser.tokenizer.unknown_share(features.ids) == share


def test_the_version_served_has_a_reference_of_figures_alone() -> None:
    reference = pipeline.drift_reference()
    assert reference is not None
    assert reference.rows == 2_000
    assert set(reference.features) == set(figures("any text"))
    assert set(reference.answers) == {tier.name for tier in pipeline.tiers}
    for answers in reference.answers.values():
        assert len(answers.confidence) == 2_000
        assert set(answers.classes) == set(pipeline.classes)
    values = [v for column in reference.features.values() for v in column]
    assert {type(value) for value in values} <= {float, int}
    assert pipeline.artifacts.manifest["files"][REFERENCE]["bytes"] < 200_000


def test_what_a_worker_computes_is_what_the_reference_holds(runtime: Any) -> None:
    prepared = runtime.prepare([Item({"text": "Hello, you THERE!"})])
    (member,) = prepared.members
    assert isinstance(member, Member)
    assert pipeline.drift_features(prepared.items[0], member.features) == figures(
        "Hello, you THERE!"
    )
