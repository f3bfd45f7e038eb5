"""Fitting the router and choosing its thresholds, on rows made for it."""

from __future__ import annotations

import numpy as np
import pytest

from ml.moderation.router import Router, Thresholds
from ml.training.routing import mixture
from ml.training.routing.fit import Spec, fit
from ml.training.routing.mixture import CHEAP, QUALITY, Routed, choose, curve


def rows(count: int = 400, wrong: float = 0.2, seed: int = 1) -> Routed:
    """The transformer is always right, the cnn wrong where it is least confident.

    Hard texts are those of least confidence; lengths have nothing to do with it.
    """
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 2, count)
    confidence = generator.permutation(np.linspace(0.5, 0.999, count))
    rank = confidence.argsort().argsort() / count
    tokens = generator.integers(5, 50, count)
    return Routed(
        truth=truth,
        sources=["a", "b"] * (count // 2),
        texts=["x" * (4 * n) for n in tokens.tolist()],
        complexity=1 - rank,
        confidence=confidence,
        cnn=np.where(rank < wrong, 1 - truth, truth),
        transformer=truth,
        tokens=tokens,
        cnn_s=np.full(count, 0.001),
        transformer_s=np.full(count, 0.02),
    )


def test_the_chosen_thresholds_reach_both_aims_and_spend_no_more() -> None:
    dev = rows()
    found = dev.point(choose(dev))
    assert mixture.ON_CPU <= found["on_cpu"] < mixture.ON_CPU + 0.02
    assert found["gpu_tokens"] <= mixture.TOKENS


def test_items_that_would_cost_quality_are_not_answered_by_the_cnn() -> None:
    dev = rows(wrong=0.2)
    assert dev.lost(dev.on_cpu(choose(dev))) == {"mean_source_f1": 0.0, "macro_f1": 0.0}


def test_aims_that_cost_more_than_the_budget_are_refused() -> None:
    with pytest.raises(ValueError, match="too much quality"):
        choose(rows(wrong=0.6))


def test_texts_that_the_cnn_hardly_answers_are_not_sent_to_it() -> None:
    dev = rows()
    chosen = choose(dev)
    beyond = dev.complexity >= chosen.cpu_below
    sure = dev.doubt(chosen.tilt) < chosen.sure_below
    assert 0 < sure[beyond].mean() <= mixture.HOPELESS


def test_an_item_costs_the_cnn_where_it_ran_and_the_transformer_where_it_ran() -> None:
    found = rows().point(Thresholds(0.8, 0.25, 0.0))  # sure from a confidence of 0.8 on
    assert found["asked"] == pytest.approx(0.8, abs=0.003)
    assert found["on_cpu"] == pytest.approx(0.4, abs=0.01)
    assert found["cpu_s"] == pytest.approx(1000 * found["asked"] * 0.001, rel=0.01)
    assert found["gpu_s"] == pytest.approx(1000 * (1 - found["on_cpu"]) * 0.02, rel=0.01)
    assert found["cost"] == pytest.approx((found["cpu_s"] + found["gpu_s"]) / 20, abs=0.001)


def test_the_curve_goes_from_one_tier_to_the_other_through_the_chosen_point() -> None:
    dev, chosen = rows(), Thresholds(0.9, 0.2, 0.1)
    points = curve(dev, chosen)
    assert points[0] == dev.point(QUALITY)
    assert points[-1] == dev.point(CHEAP)
    assert dev.point(chosen) in points
    shares = [point["on_cpu"] for point in points]
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert shares == sorted(shares)


def test_the_error_of_a_loss_is_nothing_where_the_tiers_agree() -> None:
    dev = rows(wrong=0.0)
    assert set(dev.spread(dev.on_cpu(CHEAP)).values()) == {0.0}
    worse = rows(wrong=0.3)
    assert worse.spread(worse.on_cpu(CHEAP))["macro_f1_error"] > 0


def test_words_of_texts_where_the_tiers_differ_make_a_text_complex() -> None:
    texts = ["plain words here", "odd words here"] * 100
    differs = np.arange(200) % 2 == 1
    found = fit(texts, differs, Spec(seen=10, ridge=1.0))
    router = Router.of(found, QUALITY)
    assert router.complexity("odd words here") > 0.8
    assert router.complexity("plain words here") < 0.2
    assert found == fit(texts, differs, Spec(seen=10, ridge=1.0))


def test_rare_words_are_no_terms() -> None:
    found = fit(["one", "two"] * 5, np.arange(10) % 2 == 1, Spec(seen=6))
    assert found["terms"] == {}
