"""The concurrency limiter: failing targets get little, targets that answer always get room."""

from __future__ import annotations

from tasks.webhooks.delivery.concurrency import MAX_TARGETS, ConcurrencyLimiter


def enqueue(limiter: ConcurrencyLimiter[str], name: str, count: int) -> None:
    for n in range(count):
        limiter.enqueue(name, f"{name}{n}")


def trust(limiter: ConcurrencyLimiter[str], *names: str) -> None:
    for name in names:
        limiter.enqueue(name, "x")
        limiter.start_ready()
        limiter.finish(name, succeeded=True)


def test_a_new_target_starts_with_a_low_limit() -> None:
    limiter: ConcurrencyLimiter[str] = ConcurrencyLimiter(100, 8)
    enqueue(limiter, "a", 5)
    assert limiter.start_ready() == ["a0", "a1"]
    assert limiter.start_ready() == []


def test_successes_double_the_limit_up_to_the_maximum_of_a_target() -> None:
    limiter: ConcurrencyLimiter[str] = ConcurrencyLimiter(100, 8)
    enqueue(limiter, "a", 50)
    limiter.start_ready()
    limits = []
    running = 2
    for _ in range(4):
        limiter.finish("a", succeeded=True)
        running += len(limiter.start_ready()) - 1
        limits.append(running)
    assert limits == [4, 8, 8, 8]


def test_failures_halve_the_limit_down_to_one() -> None:
    limiter: ConcurrencyLimiter[str] = ConcurrencyLimiter(100, 8)
    enqueue(limiter, "a", 3)
    assert limiter.start_ready() == ["a0", "a1"]
    assert limiter.finish("a", succeeded=False) == []
    assert limiter.start_ready() == []
    limiter.finish("a", succeeded=False)
    assert limiter.start_ready() == ["a2"]


def test_while_a_target_is_failing_only_one_request_waits_for_it() -> None:
    limiter: ConcurrencyLimiter[str] = ConcurrencyLimiter(100, 8)
    enqueue(limiter, "a", 6)
    limiter.start_ready()
    limiter.finish("a", succeeded=False)
    assert sorted(limiter.finish("a", succeeded=False)) == ["a3", "a4", "a5"]
    assert limiter.enqueue("a", "a6") is False
    assert limiter.start_ready() == ["a2"]
    assert limiter.enqueue("a", "a7") is True
    assert limiter.enqueue("a", "a8") is False
    limiter.finish("a", succeeded=True)
    assert limiter.enqueue("a", "a9") is True
    assert limiter.start_ready() == ["a7", "a9"]


def test_targets_take_turns() -> None:
    limiter: ConcurrencyLimiter[str] = ConcurrencyLimiter(4, 8)
    for name in "abc":
        enqueue(limiter, name, 3)
    started = limiter.start_ready()
    assert sorted(one[0] for one in started) == ["a", "b", "c"]
    other: ConcurrencyLimiter[str] = ConcurrencyLimiter(4, 8)
    trust(other, "a", "b")
    enqueue(other, "a", 4)
    enqueue(other, "b", 4)
    assert sorted(one[0] for one in other.start_ready()) == ["a", "a", "b", "b"]


def test_targets_that_hang_leave_room_for_those_that_answer() -> None:
    limiter: ConcurrencyLimiter[str] = ConcurrencyLimiter(8, 4)
    trust(limiter, "well")
    for n in range(50):
        enqueue(limiter, f"dead{n}-", 5)
    assert len(limiter.start_ready()) == 6
    enqueue(limiter, "well", 5)
    assert limiter.start_ready() == ["well0", "well1"]
    limiter.finish("well", succeeded=True)
    assert limiter.start_ready() == ["well2"]


def test_unknown_targets_get_their_turn_beside_busy_ones() -> None:
    limiter: ConcurrencyLimiter[str] = ConcurrencyLimiter(4, 4)
    trust(limiter, "busy", "busier")
    for name in ("busy", "busier"):
        enqueue(limiter, name, 100)
    running = limiter.start_ready()
    limiter.enqueue("new", "new0")
    started = []
    for _ in range(2):
        limiter.finish(running.pop(0).rstrip("0123456789"), succeeded=True)
        started += limiter.start_ready()
    assert "new0" in started


def test_the_count_of_untrusted_requests_stays_right_through_every_change() -> None:
    limiter: ConcurrencyLimiter[str] = ConcurrencyLimiter(8, 4)
    for name in ("a", "b"):
        enqueue(limiter, name, 2)
    limiter.start_ready()
    for name, succeeded in (("a", True), ("b", False), ("a", False), ("b", True)):
        limiter.finish(name, succeeded)
    enqueue(limiter, "c", 9)
    for n in range(9):
        limiter.enqueue(f"new{n}", "x")
    assert len(limiter.start_ready()) == 6


def test_all_waiting_requests_can_be_removed() -> None:
    limiter: ConcurrencyLimiter[str] = ConcurrencyLimiter(8, 4)
    enqueue(limiter, "a", 5)
    limiter.start_ready()
    enqueue(limiter, "b", 3)
    assert sorted(limiter.remove_all_waiting()) == ["a2", "a3", "a4", "b0", "b1", "b2"]
    assert limiter.start_ready() == []
    limiter.finish("a", succeeded=True)
    assert limiter.start_ready() == []


def test_idle_targets_are_forgotten_oldest_first() -> None:
    limiter: ConcurrencyLimiter[str] = ConcurrencyLimiter(8, 4)
    limiter.enqueue("first", "waits")
    limiter.start_ready()
    for n in range(MAX_TARGETS + 5):
        trust(limiter, f"target{n}")
    assert len(limiter._targets) <= MAX_TARGETS + 6
    limiter.finish("first", succeeded=True)
    trust(limiter, "last")
    assert len(limiter._targets) == MAX_TARGETS
