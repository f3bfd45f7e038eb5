"""Items in, outcomes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from ml.pipeline import Features, Item, Prediction, Tier, TierRef
from ml.serving.cascade import Cascade
from ml.serving.loaded_tier import LoadedTier
from ml.serving.outcomes import ItemError
from ml.serving.runtime import Runtime, RuntimeLoadError
from tests.ml.toys import Length, Scripted, Toy, fails_on, good, item, one_too_few


class Costed(Toy):
    """Answers with the cost it was given; its texts are numbers of tokens."""

    tiers: tuple[TierRef, ...] = (
        TierRef("best", "tests.ml.toys:Scripted"),
        TierRef("worst", "tests.ml.toys:Scripted"),
    )
    batch_tokens = 20

    def features(self, items: Sequence[Item]) -> Sequence[Features]:
        return [Length(int(i.input["text"])) for i in items]

    def postprocess(self, item: Item, prediction: Prediction) -> dict[str, Any]:
        if item.input["text"] == "13":
            raise RuntimeError("unlucky")
        return {"label": str(int(prediction.scores["cost"]))}


def runtime(*tiers: Tier) -> Runtime:
    loaded = [LoadedTier(name, tier, 5.0) for name, tier in zip("ab", tiers, strict=False)]
    return Runtime(Costed(), Cascade(loaded), top=0)


def run(runtime: Runtime, *texts: str) -> list[Any]:
    outcomes = runtime.run(runtime.prepare([item(text) for text in texts])).outcomes
    return [outcome.error or outcome.output for outcome in outcomes]


def test_a_users_own_module_is_served_by_its_import_path() -> None:
    loaded = Runtime.load(Toy(), "cpu")
    loaded.warm_up()
    outcome = loaded.run(loaded.prepare([item("hello")])).outcomes[0]
    assert outcome.error is None
    assert outcome.output is not None
    assert set(outcome.output) == {
        *("label", "action", "confidence", "scores"),
        *("tier", "model_version", "degraded", "reason"),
    }
    assert outcome.output["tier"] == "linear"
    assert outcome.output["model_version"] == "builtin"
    assert sum(outcome.output["scores"].values()) == pytest.approx(1)


def test_outcomes_come_in_the_order_of_items_whatever_the_batches() -> None:
    tier = Scripted(good)
    labels = [output["label"] for output in run(runtime(tier), "9", "2", "10", "1", "20", "3")]
    assert labels == ["9", "2", "10", "1", "20", "3"]
    assert len(tier.sizes) > 1


def test_an_item_whose_features_fail_keeps_its_error_and_its_neighbours_their_answers() -> None:
    found = run(runtime(Scripted(good)), "1", "not a number", "2")
    assert [found[0]["label"], found[2]["label"]] == ["1", "2"]
    assert found[1].code == "feature_error"
    assert "not a number" in found[1].message


def test_an_item_whose_postprocessing_fails_keeps_its_error() -> None:
    found = run(runtime(Scripted(good)), "12", "13")
    assert found[0]["label"] == "12"
    assert found[1] == ItemError("postprocess_error", "RuntimeError('unlucky')")


def test_an_answer_from_a_lower_tier_is_degraded_with_the_reason() -> None:
    top, low = run(runtime(Scripted(fails_on(2)), Scripted(good)), "1", "2")
    assert (top["tier"], top["degraded"], top["reason"]) == ("a", False, None)
    assert (low["tier"], low["degraded"], low["reason"]) == ("b", True, "model_error")


def test_starting_below_the_first_tier_is_not_degraded() -> None:
    loaded = Runtime.load(Costed(), "cpu", top="worst")
    (found,) = run(loaded, "1")
    assert (found["tier"], found["degraded"]) == ("worst", False)


def test_an_item_that_asks_for_a_better_tier_than_runs_here_fails_clearly() -> None:
    loaded = Runtime.load(Costed(), "cpu", top="worst")
    outcome = loaded.run(loaded.prepare([item("1", min_tier="best")])).outcomes[0]
    assert outcome.error == ItemError(
        "tier_unavailable", "its min_tier is better than any this worker runs: worst"
    )


def test_an_unknown_min_tier_fails_with_the_known_ones() -> None:
    outcome = (
        (r := runtime(Scripted(good))).run(r.prepare([item("1", min_tier="magic")])).outcomes[0]
    )
    assert outcome.error == ItemError(
        "tier_unavailable", "there is no tier 'magic', only best, worst"
    )


def test_an_unknown_top_tier_stops_the_load() -> None:
    with pytest.raises(RuntimeLoadError, match="no tier 'magic', only"):
        Runtime.load(Toy(), "cpu", top="magic")


def test_a_target_that_is_no_tier_stops_the_load() -> None:
    class Wrong(Toy):
        tiers = (TierRef("wrong", "tests.ml.toys:good"),)

    with pytest.raises(RuntimeLoadError, match="toys:good is no subclass of Tier"):
        Runtime.load(Wrong(), "cpu")


@pytest.mark.parametrize("script", [fails_on(5), one_too_few])
def test_a_warm_up_that_fails_names_its_tier(script: Any) -> None:
    broken = Runtime(Toy(), Cascade([LoadedTier("broken", Scripted(script), 5.0)]), top=0)
    with pytest.raises(RuntimeLoadError, match="warm-up of tier 'broken'"):
        broken.warm_up()  # the example has five characters


def test_nothing_to_do_is_done() -> None:
    assert run(runtime(Scripted(good))) == []


def test_a_run_tells_which_items_failed_where_and_why() -> None:
    here = runtime(Scripted(fails_on(9)), Scripted(good))
    texts = ["19", "9", "none", "13", "9", "7"]  # in batches of at most 20 tokens
    found = here.run(here.prepare([item(text) for text in texts]))
    failures = {(f.index, f.stage, type(f.error).__name__) for f in found.failures}
    assert failures == {
        (1, "a", "ValueError"),
        (2, "features", "ValueError"),
        (3, "postprocess", "RuntimeError"),
        (4, "a", "ValueError"),
    }
    assert [n for n, outcome in enumerate(found.outcomes) if outcome.error] == [2, 3]
