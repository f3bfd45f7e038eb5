"""Batches of similar length, and what a row counts."""

from __future__ import annotations

import numpy as np
import pytest

from ml.training.data.batches import by_length, cell_weights, shuffled


def test_every_row_comes_once_an_epoch_and_the_seed_fixes_the_order() -> None:
    lengths = list(np.random.default_rng(0).integers(1, 90, 1_000))
    first, again, other = (shuffled(lengths, 16, seed) for seed in (1, 1, 2))
    assert sorted(np.concatenate(first)) == list(range(1_000))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_batches_of_similar_length_need_little_padding() -> None:
    lengths = np.random.default_rng(0).integers(1, 90, 2_000)
    padded = sum(lengths[b].max() * len(b) for b in shuffled(list(lengths), 32, 1))
    assert padded < 1.15 * lengths.sum()


def test_inference_goes_from_short_to_long() -> None:
    assert [list(b) for b in by_length([5, 1, 3], 2)] == [[1, 2], [0]]


def test_rows_of_rare_cells_and_small_sources_count_more_and_the_mean_is_one() -> None:
    sources, labels = ["a"] * 100 + ["b"] * 10, [0] * 90 + [1] * 10 + [0] * 10
    weights = cell_weights(sources, labels)
    assert weights.mean() == pytest.approx(1, abs=1e-5)
    assert weights[99] / weights[0] == pytest.approx(3, rel=1e-4)  # root of 90 to 10
    assert weights[109] > weights[99]  # as rare, in a smaller source
