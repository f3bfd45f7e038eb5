"""The Lua scripts against a model in plain Python, in any order hypothesis can think of.

Time is Redis's own, so leases are made to run out by setting the idle time of a held unit instead
of waiting: `crash` ages what a worker holds beyond its lease.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from redis import ResponseError

from tasks.jobs.cancel import cancel_job
from tasks.jobs.lanes import Lane, Priority
from tasks.jobs.model import Status
from tasks.jobs.read import read_job
from tasks.queue.consumer import Consumer
from tasks.queue.units import Escalation, Unit
from tasks.store import keys
from tasks.store.client import Store
from tasks.store.scripts.queue import SWEEP, SweepArgs
from tests.tasks.lanes import ERROR, OUTPUT, SINGLE, bulk, claim, counts, done, put

QUICK, EXHAUSTIVE = 100, 2_000  # examples
OWNERS = ("ann", "bob")
STATES = ("open", *(status.value for status in Status if status.is_terminal))
PAST_MS = 1
MOST_ATTEMPTS = 3
MOST_CLAIMS = 200  # far more than the units of a run


@dataclass
class ModelJob:
    """What must be true of a job."""

    owner: str
    total: int
    status: Status = Status.QUEUED
    settled: dict[int, bool] = field(default_factory=dict)  # unit -> whether its items failed
    items: dict[int, int] = field(default_factory=dict)
    attempts: dict[int, int] = field(default_factory=dict)
    due: bool = False  # its deadline has passed

    def settle(self, unit: int, failed: bool) -> None:
        self.settled[unit] = failed
        if sum(self.items[number] for number in self.settled) == self.total:
            every = all(self.settled.values())
            self.status = Status.FAILED if every else Status.SUCCEEDED


@dataclass(frozen=True)
class Held:
    """A unit in the hands of a worker, as the test remembers it: it may be stale by now."""

    unit: Unit
    worker: Consumer


@dataclass(frozen=True)
class Snapshot:
    """The gpu lane and the owners' lists, read at once.

    entries: of each stream and of each line behind it. held: those that a worker holds.
    """

    entries: dict[tuple[Priority, str], list[tuple[str, dict[str, str]]]]
    held: dict[Priority, set[str]]
    lines: dict[Priority, set[str]]
    ahead: dict[Priority, dict[str, str]]
    lists: dict[tuple[str, str], list[str]]
    load: dict[str, str]
    unfinished: dict[str, str]

    @classmethod
    def take(cls, store: Store) -> Snapshot:
        pipe: Any = store.redis.pipeline(transaction=False)
        streams = {priority: keys.stream("gpu", priority) for priority in Priority}
        places = {(p, ""): stream for p, stream in streams.items()}
        places |= {
            (p, owner): keys.owner_queue("gpu", p, owner) for p in Priority for owner in OWNERS
        }
        lists = [(owner, state) for owner in OWNERS for state in STATES]
        for stream in places.values():
            pipe.xrange(stream)
        for stream in streams.values():
            pipe.xpending_range(stream, keys.GROUP, "-", "+", 10_000)
            pipe.smembers(f"{stream}:lines")
            pipe.hgetall(f"{stream}:ahead")
        for owner, state in lists:
            pipe.zrange(keys.jobs(owner, state), 0, -1)
        pipe.hgetall(keys.load("gpu"))
        pipe.hgetall(keys.UNFINISHED)
        found = iter(pipe.execute(raise_on_error=False))  # a stream may not have been made yet
        entries = {place: next(found) for place in places}
        triples = {priority: (next(found), next(found), next(found)) for priority in Priority}
        return cls(
            entries=entries,
            held={p: _ids(pending) for p, (pending, _, _) in triples.items()},
            lines={p: lines for p, (_, lines, _) in triples.items()},
            ahead={p: ahead for p, (_, _, ahead) in triples.items()},
            lists={place: next(found) for place in lists},
            load=next(found),
            unfinished=next(found),
        )

    def check_lines(self, priority: Priority) -> None:
        """An owner stands in line only behind units of its own that nobody holds."""
        lengths = {owner: len(self.entries[priority, owner]) for owner in OWNERS}
        assert self.lines[priority] == {owner for owner, units in lengths.items() if units}
        assert int(self.load.get(f"parked:{priority}", 0)) == sum(lengths.values())
        ahead: Counter[str] = Counter()
        for entry, fields in self.entries[priority, ""]:
            if entry not in self.held[priority]:
                ahead[fields["owner"]] += int(fields["items"])
        assert self.ahead[priority] == {owner: str(items) for owner, items in ahead.items()}
        assert all(ahead[owner] for owner, units in lengths.items() if units)


def _ids(pending: Any) -> set[str]:
    return set() if isinstance(pending, ResponseError) else {one["message_id"] for one in pending}


class Lifecycle(RuleBasedStateMachine):
    store: Store  # set by the test, flushed for every run

    jobs = Bundle("jobs")
    held = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        self.store.redis.flushall()
        self.workers = [Consumer(self.store, Lane.GPU) for _ in range(2)]
        self.model: dict[str, ModelJob] = {}
        self.holders: dict[tuple[str, int], Held] = {}

    @rule(
        target=jobs,
        owner=st.sampled_from(OWNERS),
        count=st.sampled_from([1, 1, 2, 5, 30]),
        priority=st.sampled_from(Priority),
    )
    def submit(self, owner: str, count: int, priority: Priority) -> str:
        wanted = SINGLE if count == 1 else bulk(count, unit_items=2)
        wanted = replace(wanted, priority=priority, deadline_ms=3_600_000)
        receipt = put(self.store, replace(wanted, spec=replace(wanted.spec, owner=owner)))
        job = self.model[receipt.job_id] = ModelJob(owner, total=count)
        first = 1 if wanted.spec.bulk else 0
        for number, start in enumerate(range(0, count, wanted.spec.unit_items), first):
            job.items[number] = min(wanted.spec.unit_items, count - start)
        return receipt.job_id

    @rule(target=held, which=st.integers(0, 1), most=st.integers(1, 6))
    def claim(self, which: int, most: int) -> Any:
        return self._take(self.workers[which], most)

    def _take(self, worker: Consumer, most: int) -> Any:
        taken = [Held(unit, worker) for unit in claim(worker, most)]
        assert len(taken) == 1 or not any(one.unit.suspect for one in taken)
        for one in taken:
            job = self.model[one.unit.job]
            assert not job.status.is_terminal, "a unit of an ended job was handed out"
            assert not job.due, "a unit of an expired job was handed out"
            assert (one.unit.job, one.unit.number) not in self.holders, "held twice"
            assert one.unit.number not in job.settled, "handed out after its outcome was stored"
            job.status = Status.RUNNING
            job.attempts[one.unit.number] = job.attempts.get(one.unit.number, 0) + 1
            assert one.unit.attempt == job.attempts[one.unit.number] <= MOST_ATTEMPTS
            self.holders[one.unit.job, one.unit.number] = one
        self._learn_what_the_claim_ended()
        return multiple(*taken)

    def _learn_what_the_claim_ended(self) -> None:
        """A claim expires due jobs and fails poisonous units: only where that is allowed."""
        for job_id, job in self.model.items():
            for number, attempts in job.attempts.items():
                outcome = self.store.redis.hget(keys.job(job_id), f"r:{number}")
                if outcome and number not in job.settled and not job.status.is_terminal:
                    assert "poison_input" in str(outcome)
                    assert attempts == MOST_ATTEMPTS
                    assert (job_id, number) not in self.holders
                    job.settle(number, failed=True)
            if job.due and not job.status.is_terminal and self._status(job_id) is Status.EXPIRED:
                job.status = Status.EXPIRED

    @rule(one=held, fails=st.booleans())
    def commit(self, one: Held, fails: bool) -> None:
        place = (one.unit.job, one.unit.number)
        job = self.model[one.unit.job]
        fresh = self.holders.get(place) == one
        stale = one.worker.commit([done(one.unit, ERROR if fails else OUTPUT)]).stale
        assert stale == (0 if fresh else 1), "only the holder of the lease may commit"
        if fresh:
            del self.holders[place]
            if not job.status.is_terminal:
                job.settle(one.unit.number, fails)

    @rule(one=held)
    def go_on(self, one: Held) -> None:
        """The answer is not sure and the gpu lane lives: the unit goes there as if it were new."""
        place = (one.unit.job, one.unit.number)
        job = self.model[one.unit.job]
        fresh = self.holders.get(place) == one
        one.worker.renew()  # a sign of life
        settled = replace(done(one.unit), escalation=Escalation(one.unit.payload, "any/best"))
        stale = one.worker.commit([settled]).stale
        assert stale == (0 if fresh else 1), "only the holder of the lease may send it on"
        if fresh:
            del self.holders[place]
            if not job.status.is_terminal:
                job.attempts[one.unit.number] -= 1

    @rule(one=held)
    def renew(self, one: Held) -> None:
        fresh = self.holders.get((one.unit.job, one.unit.number)) == one
        lost = one.worker.renew()
        if fresh:
            assert one.unit.entry not in lost

    @rule(one=held)
    def release(self, one: Held) -> None:
        place = (one.unit.job, one.unit.number)
        fresh = self.holders.get(place) == one
        one.worker.release([one.unit])
        if fresh:
            del self.holders[place]
            self.model[one.unit.job].attempts[one.unit.number] -= 1

    @rule(one=held)
    def crash(self, one: Held) -> None:
        """The worker falls silent for longer than its lease: everything it held is free again."""
        for place, other in list(self.holders.items()):
            if other.worker is one.worker:
                self.store.redis.xclaim(
                    other.unit.stream,
                    keys.GROUP,
                    one.worker.name,
                    0,
                    [other.unit.entry],
                    idle=self.store.settings.lease_ms * 2,
                    justid=True,
                )
                del self.holders[place]
        one.worker.drop_leases()

    @rule(target=held, one=held)
    def stumble(self, one: Held) -> Any:
        """Lose all and claim again under the same name: only the attempt tells the two apart."""
        self.crash(one)
        return self._take(one.worker, 64)

    @rule(job_id=jobs)
    def cancel(self, job_id: str) -> None:
        before = cancel_job(self.store, job_id)
        job = self.model[job_id]
        assert before == job.status
        if not job.status.is_terminal:
            job.status = Status.CANCELLED

    @rule(job_id=jobs)
    def let_the_deadline_pass(self, job_id: str) -> None:
        job = self.model[job_id]
        if not job.status.is_terminal:
            self.store.redis.hset(keys.job(job_id), "deadline", PAST_MS)
            self.store.redis.zadd(keys.DEADLINES, {job_id: PAST_MS})
            job.due = True

    @rule()
    def sweep(self) -> None:
        self.store.redis.delete(keys.SWEEP)
        lease_ms = self.store.settings.lease_ms
        self.store.run(SWEEP, SweepArgs("test", 1_000, lease_ms, 60_000, 3_600_000), [list(Lane)])
        for job in self.model.values():
            if job.due and not job.status.is_terminal:
                job.status = Status.EXPIRED

    @invariant()
    def every_job_stands_as_the_model_says(self) -> None:
        for job_id, job in self.model.items():
            found = read_job(self.store, job_id)
            assert found is not None, "an accepted job was lost"
            assert found.status == job.status
            assert found.done == sum(job.items[number] for number in job.settled)

    @invariant()
    def every_end_is_counted_once(self) -> None:
        ended = [job.status for job in self.model.values() if job.status.is_terminal]
        assert counts(self.store) == {status: ended.count(status) for status in set(ended)}

    @invariant()
    def the_lane_and_the_lists_hold_what_they_should(self) -> None:
        found = Snapshot.take(self.store)
        units = [fields for place in found.entries.values() for _, fields in place]
        assert int(found.load.get("items", 0)) == sum(int(unit["items"]) for unit in units)
        assert int(found.load.get("bytes", 0)) == sum(len(unit["payload"]) for unit in units)
        for priority in Priority:
            found.check_lines(priority)
        for owner in OWNERS:
            self._check_lists(owner, found)

    def _check_lists(self, owner: str, found: Snapshot) -> None:
        """A job is in one list of its owner, and what an owner has unfinished is known."""
        own = {job_id: job for job_id, job in self.model.items() if job.owner == owner}
        for state in STATES:
            listed = {job_id for job_id, job in own.items() if _state(job.status) == state}
            assert set(found.lists[owner, state]) == listed
        assert int(found.unfinished.get(owner, 0)) == sum(
            job.total - sum(job.items[number] for number in job.settled)
            for job in own.values()
            if not job.status.is_terminal
        )

    def teardown(self) -> None:
        """Whatever happened, a patient worker brings every job to its end."""
        for one in list(self.holders.values()):
            self.crash(one)
        worker = Consumer(self.store, Lane.GPU)
        for _ in range(
            MOST_CLAIMS
        ):  # one may bring nothing and still drop what belongs to ended jobs
            worker.commit([done(unit) for unit in worker.claim(64, 0).units])
            if not any(Snapshot.take(self.store).entries.values()):
                break
        assert all(self._status(job_id).is_terminal for job_id in self.model)
        assert not any(Snapshot.take(self.store).entries.values())

    def _status(self, job_id: str) -> Status:
        return Status(str(self.store.redis.hget(keys.job(job_id), "status")))


def _state(status: Status) -> str:
    return status.value if status.is_terminal else "open"


@pytest.mark.timeout(1_200)  # 2,000 examples of 30 steps; a minute or two where nothing else runs
@pytest.mark.parametrize("examples", [QUICK, pytest.param(EXHAUSTIVE, marks=pytest.mark.full)])
def test_no_order_of_events_loses_duplicates_or_reopens_a_job(store: Store, examples: int) -> None:
    Lifecycle.store = store
    run_state_machine_as_test(
        Lifecycle,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
