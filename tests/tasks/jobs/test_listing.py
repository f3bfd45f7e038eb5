from __future__ import annotations

import pytest

from tasks.jobs.listing import MOST_EXAMINED, Filter, Page, list_jobs
from tasks.jobs.model import Status
from tasks.store import keys
from tasks.store.client import Store
from tests.listed import BEGUN_MS, add, id_at

ANY = Filter()


def ids(page: Page) -> list[str]:
    return [job.id for job in page.jobs]


def pages(store: Store, wanted: Filter, limit: int) -> list[Page]:
    """All the pages, one after another."""
    found = [list_jobs(store, "o", wanted, limit)]
    while found[-1].position is not None:
        found.append(list_jobs(store, "o", wanted, limit, found[-1].position))
    return found


def calls(store: Store, command: str) -> int:
    stats = store.redis.info("commandstats")
    return int(stats.get(f"cmdstat_{command}", {"calls": 0})["calls"])


def test_without_jobs_there_is_one_empty_page(store: Store) -> None:
    assert list_jobs(store, "o", ANY, 10) == Page([], None)


def test_jobs_of_every_status_come_merged_newest_first(store: Store) -> None:
    numbers = [number * 7 % 60 for number in range(60)]
    for place, status in enumerate(Status):
        add(store, numbers[place::6], status)
    page = list_jobs(store, "o", ANY, 100)
    assert ids(page) == [id_at(number) for number in reversed(range(60))]
    assert page.position is None
    assert {job.status for job in page.jobs} == set(Status)


@pytest.mark.parametrize("limit", [1, 7, 29, 30, 31, 100])
def test_pages_follow_one_another_without_a_gap_or_a_repetition(store: Store, limit: int) -> None:
    add(store, range(0, 30, 2), Status.SUCCEEDED)
    add(store, range(1, 30, 2), Status.RUNNING)
    found = pages(store, ANY, limit)
    assert [job_id for page in found for job_id in ids(page)] == [
        id_at(n) for n in range(29, -1, -1)
    ]
    assert [len(page.jobs) for page in found[:-1]] == [limit] * (len(found) - 1)
    assert len(found) == -(-30 // limit)


def test_jobs_that_come_between_two_pages_shift_nothing(store: Store) -> None:
    older = add(store, range(10))
    first = list_jobs(store, "o", ANY, 5)
    add(store, range(10, 20))
    assert ids(first) == older[:5]
    assert ids(list_jobs(store, "o", ANY, 5, first.position)) == older[5:]


@pytest.mark.parametrize("status", list(Status))
def test_a_status_filters(store: Store, status: Status) -> None:
    for place, other in enumerate(Status):
        add(store, range(place, 60, 6), other)
    found = pages(store, Filter(status), 4)
    assert [len(page.jobs) for page in found] == [4, 4, 2]
    jobs = [job for page in found for job in page.jobs]
    assert {job.status for job in jobs} == {status}
    assert [job.id for job in jobs] == sorted((job.id for job in jobs), reverse=True)


def test_a_filter_that_matches_few_jobs_examines_a_bounded_number(store: Store) -> None:
    count = MOST_EXAMINED * 2 + 100
    add(store, range(1, count), Status.QUEUED)
    (oldest,) = add(store, [0], Status.RUNNING)
    before = calls(store, "hget")
    found = pages(store, Filter(Status.RUNNING), 10)
    assert [ids(page) for page in found] == [[], [], [oldest]]
    # one look more than the limit: whether the next one would have matched
    assert calls(store, "hget") - before <= count + 2


def test_bounds_in_time_are_exclusive_and_count_milliseconds(store: Store) -> None:
    add(store, range(10))

    def numbers(after: float | None = None, before: float | None = None) -> list[str]:
        at = [None if ms is None else int((BEGUN_MS + ms) * 1_000) for ms in (after, before)]
        return ids(list_jobs(store, "o", Filter(None, *at), 100))

    assert numbers(after=6) == [id_at(9), id_at(8), id_at(7)]
    assert numbers(after=6.5) == [id_at(9), id_at(8), id_at(7)]
    assert numbers(before=2) == [id_at(1), id_at(0)]
    assert numbers(before=1.5) == [id_at(1), id_at(0)]
    assert numbers(after=3, before=6) == [id_at(5), id_at(4)]
    assert numbers(after=6, before=6) == []
    assert numbers(after=7, before=2) == []


@pytest.mark.parametrize("moment", [-(10**15), 0])
def test_a_bound_at_the_epoch_or_before_it_is_a_bound(store: Store, moment: int) -> None:
    job_ids = add(store, range(3))
    assert ids(list_jobs(store, "o", Filter(after=moment), 10)) == job_ids
    assert ids(list_jobs(store, "o", Filter(before=moment), 10)) == []


def test_a_bound_holds_on_every_page(store: Store) -> None:
    add(store, range(20))
    wanted = Filter(after=(BEGUN_MS + 4) * 1_000, before=(BEGUN_MS + 15) * 1_000)
    found = [job_id for page in pages(store, wanted, 3) for job_id in ids(page)]
    assert found == [id_at(n) for n in range(14, 4, -1)]


def test_a_position_newer_than_the_bound_does_not_widen_it(store: Store) -> None:
    add(store, range(20))
    page = list_jobs(store, "o", Filter(before=(BEGUN_MS + 3) * 1_000), 10, id_at(15))
    assert ids(page) == [id_at(2), id_at(1), id_at(0)]


def test_jobs_whose_records_have_expired_are_left_out(store: Store) -> None:
    kept = add(store, range(0, 40, 2))
    add(store, range(1, 40, 2), kept=False)
    found = pages(store, ANY, 7)
    assert [job_id for page in found for job_id in ids(page)] == kept
    assert [len(page.jobs) for page in found] == [7, 7, 6]


def test_another_owners_jobs_are_not_listed(store: Store) -> None:
    mine = add(store, range(3))
    add(store, range(3, 6), owner="o2")
    assert ids(list_jobs(store, "o", ANY, 10)) == mine


def test_a_page_costs_one_script_and_reads_no_more_records_than_it_shows(store: Store) -> None:
    add(store, range(200))
    list_jobs(store, "o", ANY, 1)  # loads the script
    before = calls(store, "evalsha"), calls(store, "hmget")
    assert len(list_jobs(store, "o", ANY, 20, id_at(100)).jobs) == 20
    assert (calls(store, "evalsha"), calls(store, "hmget")) == (before[0] + 1, before[1] + 20)


def test_a_page_writes_nothing(store: Store) -> None:
    job_ids = add(store, range(5))
    before = sorted(store.redis.scan_iter())
    list_jobs(store, "o", ANY, 3)
    assert sorted(store.redis.scan_iter()) == before
    assert store.redis.zcard(keys.jobs("o", "succeeded")) == len(job_ids)
