from __future__ import annotations

from app.api_keys.failed_attempts import BUCKETS, FailedAttempts


def test_beyond_the_limit_it_says_how_long_to_wait() -> None:
    wrong = FailedAttempts(5)
    assert [wrong.count("198.51.100.1", None) for _ in range(5)] == [None] * 5
    wait_s = wrong.count("198.51.100.1", None)
    assert wait_s is not None
    assert 1 <= wait_s <= 60


def test_one_id_is_counted_over_all_addresses() -> None:
    wrong = FailedAttempts(5)
    answers = [wrong.count(f"198.51.100.{n}", "AAAAAAAAAAAA") for n in range(200)]
    assert answers[0] is None
    assert None not in answers[100:]


def test_one_address_is_counted_over_all_ids_and_not_for_them() -> None:
    wrong = FailedAttempts(5)
    answers = [wrong.count("198.51.100.1", f"id{n}") for n in range(20 * BUCKETS)]
    assert [n for n, answer in enumerate(answers) if answer is None] == [0, 1, 2, 3, 4]
    others = [wrong.count(f"203.0.113.{n}", f"other{n}") for n in range(100)]
    assert sum(answer is None for answer in others) > 90


def test_a_client_with_a_whole_ipv6_network_is_one_client() -> None:
    wrong = FailedAttempts(5)
    answers = [wrong.count(f"2001:db8::{n:x}", None) for n in range(10)]
    assert answers[:5] == [None] * 5
    assert None not in answers[5:]
    others = [wrong.count(f"2001:db8:0:{n:x}::1", None) for n in range(1, 101)]
    assert sum(answer is None for answer in others) > 90


def test_a_flood_from_many_addresses_does_not_fill_the_memory() -> None:
    wrong = FailedAttempts(5)
    for n in range(10_000):
        wrong.count(f"10.{n // 250}.{n % 250}.1", f"id{n}")
    counted = wrong._limiter.storage.storage  # type: ignore[attr-defined]
    assert 0 < len(counted) <= 2 * BUCKETS
