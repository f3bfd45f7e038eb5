"""One bad member cannot fail its neighbours."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from ml.serving.isolation import Failed, StopBisecting, isolated


@given(st.lists(st.integers(0, 9), max_size=40), st.sets(st.integers(0, 9)))
def test_only_bad_members_fail_and_order_is_kept(members: list[int], bad: set[int]) -> None:
    def double(batch: Sequence[int]) -> list[int]:
        if bad & set(batch):
            raise ValueError("bad")
        return [2 * n for n in batch]

    results = isolated(double, members)
    assert [None if isinstance(r, Failed) else r for r in results] == [
        None if n in bad else 2 * n for n in members
    ]


def test_a_failure_of_the_whole_batch_is_not_bisected() -> None:
    calls = []

    def stop(batch: Sequence[int]) -> list[int]:
        calls.append(len(batch))
        raise StopBisecting("enough")

    assert [str(r) for r in isolated(stop, [1, 2, 3])] == ["StopBisecting: enough"] * 3
    assert calls == [3]
