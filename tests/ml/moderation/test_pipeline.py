"""The committed moderation pipeline, end to end."""

from __future__ import annotations

import pytest

from ml.moderation.pipeline import pipeline
from ml.pipeline import Item, Options
from ml.serving.runtime import Runtime


def ask(runtime: Runtime, text: str, **options: object) -> dict[str, object]:
    asked = Options(**options)  # type: ignore[arg-type]
    outcome = runtime.run(runtime.prepare([Item({"text": text}, asked)])).outcomes[0]
    assert outcome.error is None
    assert outcome.output is not None
    return outcome.output


def test_the_first_tier_answers_with_every_part_of_the_contract(runtime: Runtime) -> None:
    output = ask(runtime, "Have a great day, everyone!")
    assert output["label"] == output["action"] == "allow"
    assert output["tier"] == pipeline.tiers[0].name
    assert output["model_version"] == pipeline.version
    assert output["degraded"] is False
    assert output["reason"] is None
    scores = output["scores"]
    assert isinstance(scores, dict)
    assert list(scores) == ["allow", "review", "block"]
    assert sum(scores.values()) == pytest.approx(1, abs=1e-5)
    assert output["confidence"] == scores["allow"]


def test_abuse_is_not_allowed_by_any_tier() -> None:
    for ref in pipeline.tiers:
        output = ask(Runtime.load(pipeline, "cpu", top=ref.name), "shut up you stupid bitch")
        assert output["tier"] == ref.name
        assert output["action"] != "allow"


def test_temperature_rescales_the_scores_and_leaves_label_and_action(runtime: Runtime) -> None:
    text = "you people are all the same"
    sharp, plain, flat = (ask(runtime, text, temperature=t) for t in (0.5, 1.0, 5.0))
    assert sharp["confidence"] > plain["confidence"] > flat["confidence"]  # type: ignore[operator]
    assert sharp["label"] == plain["label"] == flat["label"]
    assert sharp["action"] == plain["action"] == flat["action"]


def test_max_tokens_hides_what_comes_after(runtime: Runtime) -> None:
    text = "hello hello hello hello you stupid bitch i hate you"
    cut, whole = ask(runtime, text, max_tokens=6), ask(runtime, text)
    assert cut["scores"] != whole["scores"]
    assert cut["scores"] == ask(runtime, "hello hello hello hello", max_tokens=6)["scores"]


def test_another_language_is_sent_to_review_with_the_reason(runtime: Runtime) -> None:
    output = ask(runtime, "buenos dias a todos", language="es")
    assert (output["action"], output["reason"]) == ("review", "language_not_supported")
    assert output["degraded"] is False


def test_another_script_is_sent_to_review_with_the_reason(runtime: Runtime) -> None:
    output = ask(runtime, "\u043f\u0440\u0438\u0432\u0435\u0442 \u0432\u0441\u0435\u043c")
    assert (output["action"], output["reason"]) == ("review", "mostly_another_script")


def test_every_text_gets_an_answer(runtime: Runtime) -> None:
    texts = ["a", "\ud800", "\u200d", "\U0001f602" * 3_000, "x" * 5_000, "\ufdfa" * 5_000, "?!"]
    outcomes = runtime.run(runtime.prepare([Item({"text": t}) for t in texts])).outcomes
    assert [o.error for o in outcomes] == [None] * len(texts)


def test_equal_questions_share_a_cache_key_and_others_do_not() -> None:
    same = Item({"text": "a", "user_id": "u1"}), Item({"text": "a", "user_id": "u2"})
    assert pipeline.cache_key(same[0]) == pipeline.cache_key(same[1])
    others = [
        Item({"text": "b"}),
        *(
            Item({"text": "a"}, asked)
            for asked in (
                Options(),
                Options(language="es"),
                Options(temperature=2.0),
                Options(max_tokens=8),
                Options(min_tier="cnn"),
            )
        ),
    ]
    assert len({pipeline.cache_key(item) for item in others}) == len(others)


def test_complexity_is_a_probability_and_higher_for_what_the_tiers_see_differently() -> None:
    plain, veiled = (
        pipeline.complexity(Item({"text": text}))
        for text in (
            "what a lovely day at the beach",
            "white people are under attack by immigrants",
        )
    )
    assert 0 <= plain < veiled <= 1


def test_the_card_gives_version_figures_thresholds_and_licence() -> None:
    card = pipeline.describe()
    assert card["version"] == pipeline.version
    assert set(card["metrics"]) == {ref.name for ref in pipeline.tiers}
    assert set(card["policy"]["thresholds"]) == {"review", "block"}
    assert card["routing"]["thresholds"]["cpu_below"] == pipeline.cpu_below
    assert "MIT" in card["licence"]
    assert card["model_card"] == "docs/model-card.md"


def test_the_committed_version_weighs_at_most_25_mb() -> None:
    files = pipeline.artifacts.path.iterdir()
    assert sum(path.stat().st_size for path in files) <= 25_000_000
