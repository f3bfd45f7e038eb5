from __future__ import annotations

from tasks.telemetry.flower.reservoir import ReservoirSample


def test_few_items_are_all_kept_in_order() -> None:
    reservoir: ReservoirSample[int] = ReservoirSample(5)
    reservoir.offer([1, 2])
    reservoir.offer([3])
    assert reservoir.take() == ([1, 2, 3], 0)


def test_items_beyond_the_size_are_sampled_and_the_others_counted() -> None:
    reservoir: ReservoirSample[int] = ReservoirSample(5)
    reservoir.offer(range(1_000))
    kept, left_out = reservoir.take()
    assert (len(set(kept)), left_out) == (5, 995)
    assert set(kept) <= set(range(1_000))


def test_taking_the_sample_empties_it() -> None:
    reservoir: ReservoirSample[int] = ReservoirSample(1)
    reservoir.offer([1, 2])
    reservoir.take()
    assert reservoir.take() == ([], 0)
    reservoir.offer([3])
    assert reservoir.take() == ([3], 0)


def test_the_last_item_is_as_likely_to_be_kept_as_the_first() -> None:
    rounds = 4_000
    seen = [0] * 20
    for _ in range(rounds):
        reservoir: ReservoirSample[int] = ReservoirSample(5)
        reservoir.offer(range(20))
        for number in reservoir.take()[0]:
            seen[number] += 1
    # A quarter of the rounds each; 8 standard deviations, so chance does not decide.
    spread = 8 * (rounds * 0.25 * 0.75) ** 0.5
    assert all(abs(count - rounds / 4) < spread for count in seen)
