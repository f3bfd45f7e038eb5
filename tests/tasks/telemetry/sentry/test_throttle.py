"""Throttle: a failure is sent once a minute, an outage once."""

from __future__ import annotations

from tasks.telemetry.sentry.throttle import MOST_KINDS, PERIOD_S, Throttle


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_the_first_of_a_kind_is_sent_and_the_others_of_its_minute_are_counted() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    assert throttle.take("a") == 0
    assert [throttle.take("a") for _ in range(63)] == [None] * 63
    assert throttle.take("b") == 0
    clock.now += PERIOD_S
    assert throttle.take("a") == 63
    assert throttle.take("a") is None


def test_an_outage_is_sent_again_only_after_a_minute_without_it() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    assert throttle.take("redis", lasting=True) == 0
    for _ in range(100):
        clock.now += PERIOD_S / 2
        assert throttle.take("redis", lasting=True) is None
    clock.now += PERIOD_S
    assert throttle.take("redis", lasting=True) == 100


def test_the_number_of_remembered_kinds_is_bounded() -> None:
    throttle = Throttle()
    for n in range(MOST_KINDS + 1):
        assert throttle.take(n) == 0
    assert throttle.take(MOST_KINDS) is None
    assert throttle.take(0) == 0
