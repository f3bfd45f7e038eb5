"""Batches within a budget of padded tokens."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ml.serving.packing import pack

COSTS = st.lists(st.integers(1, 300), max_size=200)


@given(COSTS, st.integers(1, 2_000), st.integers(1, 64))
def test_every_position_is_packed_once_so_that_order_can_be_restored(
    costs: list[int], budget: int, most: int
) -> None:
    batches = pack(costs, budget, most)
    assert sorted(n for batch in batches for n in batch) == list(range(len(costs)))


@given(COSTS, st.integers(1, 2_000), st.integers(1, 64))
def test_no_batch_exceeds_budget_or_size_unless_one_member_alone_does(
    costs: list[int], budget: int, most: int
) -> None:
    for batch in pack(costs, budget, most):
        padded = len(batch) * max(costs[n] for n in batch)
        assert padded <= budget or len(batch) == 1
        assert 1 <= len(batch) <= most


def test_what_fits_in_one_batch_stays_in_its_order() -> None:
    assert pack([3, 1, 2], budget=9, most=3) == [[0, 1, 2]]


def test_members_of_like_length_share_a_batch() -> None:
    assert pack([9, 1, 9, 1], budget=18, most=4) == [[0, 2], [1, 3]]


def test_a_member_dearer_than_the_budget_stands_alone() -> None:
    assert pack([500, 2, 2], budget=10, most=8) == [[0], [1, 2]]


def test_nothing_makes_no_batch() -> None:
    assert pack([], budget=10, most=8) == []
