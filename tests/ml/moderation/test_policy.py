"""From probabilities to an action."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.moderation.policy import Policy, sharpen

POLICY = Policy(
    classes=("allow", "review", "block"),
    thresholds={"review": 0.5, "block": 0.8},
    doubtful="review",
    languages=frozenset({"en"}),
    foreign_share=0.3,
)


def scores(allow: float, review: float, block: float) -> dict[str, float]:
    return {"allow": allow, "review": review, "block": block}


@pytest.mark.parametrize(
    ("given_scores", "action"),
    [
        (scores(0.9, 0.05, 0.05), "allow"),
        (scores(0.51, 0.3, 0.19), "allow"),
        (scores(0.5, 0.3, 0.2), "review"),
        (scores(0.2, 0.01, 0.79), "review"),
        (scores(0.2, 0.0, 0.8), "block"),
    ],
)
def test_the_worst_class_whose_threshold_is_reached_decides(
    given_scores: dict[str, float], action: str
) -> None:
    assert POLICY.decide(given_scores, "hello", "en") == (action, "")


@pytest.mark.parametrize(
    ("text", "language", "rule"),
    [
        ("hola", "es", "language_not_supported"),
        ("hola", "EN-gb", ""),
        ("\u043f\u0440\u0438\u0432\u0435\u0442", "en", "mostly_another_script"),
        ("mostly english \u043f\u0440", "en", ""),
        ("", "en", "nothing_to_read"),
    ],
)
def test_rules_send_what_the_model_was_not_made_for_to_review(
    text: str, language: str, rule: str
) -> None:
    action, found = POLICY.decide(scores(1.0, 0.0, 0.0), text, language)
    assert found == rule
    assert action == ("review" if rule else "allow")


LOGITS = st.lists(st.floats(-8, 8), min_size=3, max_size=3)


def softmax(logits: list[float], temperature: float) -> list[float]:
    powers = [math.exp(z / temperature) for z in logits]
    return [p / sum(powers) for p in powers]


@given(LOGITS, st.floats(0.2, 5))
def test_sharpening_equals_dividing_the_logits(logits: list[float], temperature: float) -> None:
    plain = dict(zip("abc", softmax(logits, 1.0), strict=True))
    expected = softmax(logits, temperature)
    assert list(sharpen(plain, temperature).values()) == pytest.approx(expected, abs=1e-9)


def test_a_temperature_near_zero_does_not_underflow() -> None:
    assert sharpen({"a": 0.6, "b": 0.4}, 1e-4) == {"a": 1.0, "b": 0.0}
