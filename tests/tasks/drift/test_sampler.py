"""Sampling of answered items: uniform, bounded, cheap, and without texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from scipy import stats

from ml.pipeline import Features, Item, Options, Pipeline
from ml.serving.outcomes import ItemError, Outcome
from ml.serving.runtime import Runtime
from tasks.config.settings import Settings
from tasks.drift.sampler import Sampler, current_window, recent_rows
from tasks.inference.executor import InferenceExecutor
from tasks.jobs.lanes import Lane
from tasks.queue.consumer import Consumer
from tasks.store import keys
from tasks.store.client import Store
from tests.tasks.drifting import asked, careless, unwatched, watched
from tests.tasks.lanes import SINGLE, put

MOST = 200


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(
        settings, drift_samples=MOST, drift_min_samples=50, drift_interval_s=86_400 * 365
    )


def see(sampler: Sampler, texts: Sequence[str], pipeline: Pipeline = watched) -> None:
    sampler.observe(pipeline.name, *asked(pipeline, texts))


def kept(store: Store) -> list[float]:
    return [row["length"] for row in recent_rows(store, watched)]


def test_the_sample_has_figures_of_answers_and_no_texts(store: Store) -> None:
    sampler = Sampler([watched], MOST)
    see(sampler, ["secret", "secret word"])
    sampler.send(store)
    assert sorted(kept(store)) == [6, 11]
    assert recent_rows(store, watched)[0].keys() == {"length", "confidence", "class", "tier"}
    for key in store.redis.keys("ps:drift:*"):
        assert "secret" not in str(store.redis.zrange(key, 0, -1))


def test_the_sample_is_bounded_and_every_item_has_the_same_chance(store: Store) -> None:
    """Items are numbered by their length; two workers see every other one."""
    workers = [Sampler([watched], MOST), Sampler([watched], MOST)]
    size, step = 6_000, 500
    for first in range(0, size, step):
        for number, worker in enumerate(workers):
            see(worker, ["x" * (n + 1) for n in range(first + number, first + step, 2)])
            worker.send(store)
    found = kept(store)
    assert len(found) == len(set(found)) == MOST
    key = keys.drift_sample(watched.name, watched.version, current_window(store))
    assert store.redis.zcard(key) == MOST
    even = stats.kstest([length / size for length in found], "uniform")
    assert even.pvalue > 1e-6


def test_the_more_items_are_answered_the_fewer_figures_are_computed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[Item] = []

    def counted(item: Item, _features: Features) -> Mapping[str, float]:
        computed.append(item)
        return {}

    monkeypatch.setattr(watched, "drift_features", counted)
    sampler = Sampler([watched], MOST)
    texts = ["x"] * 1_000
    for _ in range(20):
        see(sampler, texts)
        sampler.send(store)
    assert len(computed) < 3_000  # 200 (1 + ln(20,000 / 200)) is 1,121, and the first batch whole


def test_the_rows_collected_between_two_sends_are_bounded(store: Store) -> None:
    sampler = Sampler([watched], MOST)
    see(sampler, [f"{n}" for n in range(3 * MOST)])
    sampler.send(store)
    assert len(kept(store)) == MOST


def test_the_sample_forgets_old_windows(store: Store) -> None:
    hourly = Store(store.redis, replace(store.settings, drift_interval_s=3_600))
    sampler = Sampler([watched], MOST)
    see(sampler, ["old"])
    sampler.send(hourly)
    window = current_window(hourly)
    (key,) = store.redis.keys("ps:drift:*")
    assert 0 < store.redis.pttl(key) <= 3 * 3_600_000
    store.redis.rename(key, keys.drift_sample(watched.name, watched.version, window - 2))
    store.redis.persist(keys.drift_sample(watched.name, watched.version, window - 2))
    assert recent_rows(hourly, watched) == []


def test_two_windows_make_one_sample(store: Store) -> None:
    window = current_window(store)
    for number, lengths in ((window - 1, range(150)), (window, range(150, 300))):
        key = keys.drift_sample(watched.name, watched.version, number)
        rows = {f'[{n / 300},{{"length":{n}}}]': n * 7 % 300 / 300 for n in lengths}
        store.redis.zadd(key, rows)
    lowest = sorted(range(300), key=lambda n: n * 7 % 300)[:MOST]
    assert kept(store) == lowest


def test_only_pipelines_with_a_reference_are_sampled_and_none_if_it_is_off(store: Store) -> None:
    for sampler, pipeline in (
        (Sampler([unwatched], MOST), unwatched),
        (Sampler([watched], 0), watched),
    ):
        see(sampler, ["a"], pipeline)
        sampler.send(store)
    assert store.redis.keys("ps:drift:*") == []


def test_an_item_that_failed_is_not_sampled(store: Store) -> None:
    sampler = Sampler([watched], MOST)
    prepared, (good, _) = asked(watched, ["good", "failed"])
    sampler.observe("watched", prepared, [good, Outcome(None, ItemError("model_error", "no"))])
    sampler.send(store)
    assert kept(store) == [4]


def test_a_confidence_at_another_temperature_is_left_out(store: Store) -> None:
    sampler = Sampler([watched], MOST)
    sampler.observe("watched", *asked(watched, ["warm"], Options(temperature=2.0)))
    sampler.send(store)
    assert recent_rows(store, watched)[0].keys() == {"length", "class", "tier"}


def test_an_error_in_a_pipelines_figures_fails_nothing(store: Store) -> None:
    sampler = Sampler([careless], MOST)
    see(sampler, ["a"], careless)
    sampler.send(store)
    assert recent_rows(store, careless) == []


def test_a_worker_samples_computed_answers_and_not_cached_ones(store: Store) -> None:
    alert = Store(store.redis, replace(store.settings, linger_ms=0))
    runtimes = {"watched": Runtime.load(watched, "cpu")}
    inference = InferenceExecutor(Consumer(alert, Lane.GPU), runtimes, None)  # type: ignore[arg-type]
    for text in ("one", "three", "seven"):
        spec = replace(SINGLE.spec, pipeline="watched")
        put(store, replace(SINGLE, spec=spec, inputs=[{"text": text}]))
    inference.run_batches()
    inference.sampler.send(store)
    assert sorted(kept(store)) == [3, 5, 5]
