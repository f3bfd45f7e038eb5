"""Places for attempts: few for those that fail, always some for those that answer well."""

from __future__ import annotations

from tasks.webhooks.delivery import concurrency as places
from tasks.webhooks.delivery.concurrency import ConcurrencyLimiter


def entered(places: ConcurrencyLimiter[str], name: str, count: int) -> None:
    for n in range(count):
        places.enter(name, f"{name}{n}")


def trust(places: ConcurrencyLimiter[str], *names: str) -> None:
    for name in names:
        places.enter(name, "x")
        places.take()
        places.leave(name, well=True)


def test_a_new_line_begins_with_few_places() -> None:
    some: ConcurrencyLimiter[str] = ConcurrencyLimiter(100, 8)
    entered(some, "a", 5)
    assert some.take() == ["a0", "a1"]
    assert some.take() == []


def test_who_answers_well_gets_more_up_to_the_limit_of_a_line() -> None:
    some: ConcurrencyLimiter[str] = ConcurrencyLimiter(100, 8)
    entered(some, "a", 50)
    some.take()
    most = []
    running = 2
    for _ in range(4):
        some.leave("a", well=True)
        running += len(some.take()) - 1
        most.append(running)
    assert most == [4, 8, 8, 8]


def test_a_line_that_fails_is_asked_one_at_a_time() -> None:
    some: ConcurrencyLimiter[str] = ConcurrencyLimiter(100, 8)
    entered(some, "a", 3)
    assert some.take() == ["a0", "a1"]
    assert some.leave("a", well=False) == []
    assert some.take() == []
    some.leave("a", well=False)
    assert some.take() == ["a2"]


def test_while_a_line_keeps_failing_only_one_waits_in_it() -> None:
    some: ConcurrencyLimiter[str] = ConcurrencyLimiter(100, 8)
    entered(some, "a", 6)
    some.take()
    some.leave("a", well=False)
    assert sorted(some.leave("a", well=False)) == ["a3", "a4", "a5"]
    assert some.enter("a", "a6") is False
    assert some.take() == ["a2"]
    assert some.enter("a", "a7") is True
    assert some.enter("a", "a8") is False
    some.leave("a", well=True)
    assert some.enter("a", "a9") is True
    assert some.take() == ["a7", "a9"]


def test_lines_take_turns() -> None:
    some: ConcurrencyLimiter[str] = ConcurrencyLimiter(4, 8)
    for name in "abc":
        entered(some, name, 3)
    taken = some.take()
    assert sorted(one[0] for one in taken) == ["a", "b", "c"]
    others: ConcurrencyLimiter[str] = ConcurrencyLimiter(4, 8)
    trust(others, "a", "b")
    entered(others, "a", 4)
    entered(others, "b", 4)
    assert sorted(one[0] for one in others.take()) == ["a", "a", "b", "b"]


def test_lines_that_hang_leave_room_for_those_that_answer_well() -> None:
    some: ConcurrencyLimiter[str] = ConcurrencyLimiter(8, 4)
    trust(some, "well")
    for n in range(50):
        entered(some, f"dead{n}-", 5)
    assert len(some.take()) == 6
    entered(some, "well", 5)
    assert some.take() == ["well0", "well1"]
    some.leave("well", well=True)
    assert some.take() == ["well2"]


def test_lines_of_which_nothing_is_known_get_their_turn_beside_busy_ones() -> None:
    some: ConcurrencyLimiter[str] = ConcurrencyLimiter(4, 4)
    trust(some, "busy", "busier")
    for name in ("busy", "busier"):
        entered(some, name, 100)
    running = some.take()
    some.enter("new", "new0")
    seen = []
    for _ in range(2):
        some.leave(running.pop(0).rstrip("0123456789"), well=True)
        seen += some.take()
    assert "new0" in seen


def test_the_count_of_those_that_may_hang_survives_every_change() -> None:
    some: ConcurrencyLimiter[str] = ConcurrencyLimiter(8, 4)
    for name in ("a", "b"):
        entered(some, name, 2)
    some.take()
    for name, well in (("a", True), ("b", False), ("a", False), ("b", True)):
        some.leave(name, well)
    entered(some, "c", 9)
    for n in range(9):
        some.enter(f"new{n}", "x")
    assert len(some.take()) == 6


def test_all_that_wait_can_be_dismissed() -> None:
    some: ConcurrencyLimiter[str] = ConcurrencyLimiter(8, 4)
    entered(some, "a", 5)
    some.take()
    entered(some, "b", 3)
    assert sorted(some.dismiss_all()) == ["a2", "a3", "a4", "b0", "b1", "b2"]
    assert some.take() == []
    some.leave("a", well=True)
    assert some.take() == []


def test_lines_long_idle_are_forgotten_and_others_are_not() -> None:
    some: ConcurrencyLimiter[str] = ConcurrencyLimiter(8, 4)
    some.enter("first", "waits")
    some.take()
    for n in range(places.MOST_LINES + 5):
        trust(some, f"line{n}")
    assert len(some._lines) <= places.MOST_LINES + 6
    some.leave("first", well=True)
    trust(some, "last")
    assert len(some._lines) == places.MOST_LINES
