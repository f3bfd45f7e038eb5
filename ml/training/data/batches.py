"""Batches of similar length, in an order that a seed fixes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_POOL = 50  # batches sorted together: wide enough to cut padding, narrow enough to stay random


def shuffled(lengths: Sequence[int], size: int, seed: int) -> list[NDArray[np.int64]]:
    """Row numbers in batches of `size`, each of similar lengths, in random order."""
    generator = np.random.default_rng(seed)
    order, batches = generator.permutation(len(lengths)), []
    length = np.asarray(lengths)
    for start in range(0, len(order), size * _POOL):
        pool = order[start : start + size * _POOL]
        pool = pool[np.argsort(length[pool], kind="stable")]
        batches += [pool[n : n + size] for n in range(0, len(pool), size)]
    return [batches[n] for n in generator.permutation(len(batches))]


def by_length(lengths: Sequence[int], size: int) -> list[NDArray[np.int64]]:
    """Row numbers from short to long in batches of `size`, for inference."""
    order = np.argsort(np.asarray(lengths), kind="stable")
    return [order[n : n + size] for n in range(0, len(order), size)]


def cell_weights(sources: Sequence[str], labels: Sequence[int]) -> NDArray[np.float32]:
    """A loss weight per row, mean 1, between "every row counts" and "every cell counts".

    Inverse square root of the row's (source, label) count, then of its source's total: the
    figure that counts is a mean over classes within a source, then over sources.
    """
    cells = np.array([f"{s}\t{y}" for s, y in zip(sources, labels, strict=True)])
    weight = _inverse_root(cells, np.ones(len(cells)))
    weight = weight * _inverse_root(np.array(sources), weight)
    scaled: NDArray[np.float32] = (weight / weight.mean()).astype(np.float32)
    return scaled


def _inverse_root(keys: NDArray[np.str_], mass: NDArray[np.float64]) -> NDArray[np.float64]:
    _, cell = np.unique(keys, return_inverse=True)
    inverse = 1 / np.sqrt(np.bincount(cell, weights=mass)[cell])
    return inverse.astype(np.float64)
