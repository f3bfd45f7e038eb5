"""How `make bench-drift` draws production and makes shifts."""

from __future__ import annotations

import argparse
from functools import partial

import numpy as np

from bench.drift import NONE, Case, Pool, doubled, foreign, measured, mixed
from bench.languages import LATIN, OTHER_SCRIPTS
from ml.drift.reference import Reference
from ml.moderation.signals import foreign_share
from tests.tasks.drifting import traffic

OPTIONS = argparse.Namespace(seed=7, runs=20, shift_runs=10, q=0.01, min_effect=0.1)


def pool(seed: int, longer: float = 1.0) -> Pool:
    rows = traffic(seed, 2_000, longer)
    return Pool(rows, [int(n % 10 == 0) for n in range(len(rows))])


def test_a_draw_has_no_row_twice() -> None:
    numbered = Pool([{"n": n} for n in range(100)], [0] * 100)
    drawn = [row["n"] for row in numbered.draw(np.random.default_rng(1), 50)]
    assert len(set(drawn)) == 50


def test_a_share_that_is_doubled_is() -> None:
    numbered = Pool([{"n": n} for n in range(1_000)], [int(n < 100) for n in range(1_000)])
    drawn = numbered.doubled(numbered.truth, 1, np.random.default_rng(1), 500)
    assert len(drawn) == 500
    assert sum(row["n"] < 100 for row in drawn) == 100


def test_a_mix_is_a_fifth_of_others() -> None:
    usual, others = (Pool([{"of": name}] * 1_000, [0] * 1_000) for name in ("usual", "others"))
    drawn = mixed(usual, others, np.random.default_rng(1), 500)
    assert sum(row["of"] == "others" for row in drawn) == 100


def test_texts_in_other_languages_are_as_long_as_those_they_replace() -> None:
    texts = ["a text of some length", "x" * 300]
    made = foreign(texts, LATIN + OTHER_SCRIPTS, np.random.default_rng(1))
    assert [len(text) for text in made] == [len(text) for text in texts]
    assert {foreign_share(text) for text in LATIN} == {0.0}
    assert all(foreign_share(text) > 0.9 for text in OTHER_SCRIPTS)


def test_a_doubled_text_begins_with_itself_and_is_about_twice_as_long() -> None:
    texts = ["x" * n for n in range(10, 60, 10)]
    made = doubled(texts)
    assert all(long.startswith(text) for text, long in zip(texts, made, strict=True))
    assert sum(map(len, made)) == 2 * sum(map(len, texts)) + len(texts)


def test_reports_on_samples_are_counted_with_their_reasons() -> None:
    reference = Reference.of(traffic(0, 2_000))
    case = partial(Case, source="shipped", reference=lambda _: reference, size=500)
    calm = measured(case(NONE, pool(1).draw), OPTIONS)
    assert (calm.runs, calm.alarms) == (20, 0)
    found = measured(case("length doubled", pool(1, longer=2).draw), OPTIONS)
    assert (found.runs, found.alarms, found.features) == (10, 10, {"length": 10})
    assert found.line() == "| length doubled | shipped | 500 | 10 | 100.0% | length 100% |"
