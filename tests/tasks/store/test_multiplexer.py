from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from tasks.config.settings import Settings
from tasks.store.client import Store, connect
from tasks.store.multiplexer import MOST_AT_ONCE, Multiplexer
from tests.eventually import eventually
from tests.ports import free_port


@pytest.fixture
def multiplexer(store: Store) -> Multiplexer:
    return Multiplexer(store.redis)


def test_each_thread_gets_the_reply_to_its_own_command(multiplexer: Multiplexer) -> None:
    with ThreadPoolExecutor(32) as threads:
        replies = list(threads.map(lambda n: multiplexer.execute("ECHO", n), range(5_000)))
    assert replies == [str(n) for n in range(5_000)]


def test_concurrent_commands_share_one_connection(multiplexer: Multiplexer, store: Store) -> None:
    before = store.redis.info("clients")["connected_clients"]
    with ThreadPoolExecutor(MOST_AT_ONCE * 2) as threads:
        list(threads.map(lambda n: multiplexer.execute("ECHO", n), range(1_000)))
    assert store.redis.info("clients")["connected_clients"] <= before + 1


def test_an_error_reaches_only_the_thread_that_caused_it(multiplexer: Multiplexer) -> None:
    def ask(number: int) -> str:
        try:
            return str(
                multiplexer.execute("ECHO", number) if number % 2 else multiplexer.execute("NOSUCH")
            )
        except ResponseError:
            return "refused"

    with ThreadPoolExecutor(16) as threads:
        replies = list(threads.map(ask, range(1_000)))
    assert replies == [str(n) if n % 2 else "refused" for n in range(1_000)]


def test_a_dead_connection_is_replaced_without_an_error(
    multiplexer: Multiplexer, store: Store
) -> None:
    own = multiplexer.execute("CLIENT", "ID")
    store.redis.client_kill_filter(_id=str(own))
    assert multiplexer.execute("ECHO", "still here") == "still here"
    assert multiplexer.execute("CLIENT", "ID") != own


def test_a_redis_that_is_down_is_an_error_for_every_thread_and_the_next_call_tries_anew(
    settings: Settings,
) -> None:
    nowhere = Multiplexer(connect(replace(settings, redis_port=free_port())))

    def ask(_: int) -> str:
        with pytest.raises(RedisConnectionError):
            nowhere.execute("PING")
        return "refused"

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ask, range(50))) == ["refused"] * 50


class Held:
    """A lock that detains the second thread to queue a command until that thread leads.

    So a thread stands between queueing its command and waiting when the lead is passed to it.
    """

    def __init__(self, multiplexer: Multiplexer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.leads, self.queued, self.handed_over = (threading.Event() for _ in range(3))
        self._lock = threading.Lock()
        self._follower: int | None = None
        send, pass_on = multiplexer._send_all, multiplexer._pass_on

        def send_once_followed(calls: Sequence[Any]) -> None:
            self.leads.set()
            assert self.queued.wait(10)
            send(calls)

        def pass_on_and_tell() -> None:
            pass_on()
            self.handed_over.set()

        monkeypatch.setattr(multiplexer, "_lock", self)
        monkeypatch.setattr(multiplexer, "_send_all", send_once_followed)
        monkeypatch.setattr(multiplexer, "_pass_on", pass_on_and_tell)

    def follow(self, multiplexer: Multiplexer) -> Any:
        self._follower = threading.get_ident()
        return multiplexer.execute("ECHO", "second")

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        if threading.get_ident() == self._follower and not self.queued.is_set():
            self.queued.set()
            assert self.handed_over.wait(10)


def test_a_thread_may_be_given_the_lead_before_it_has_begun_to_wait(
    multiplexer: Multiplexer, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(multiplexer, monkeypatch)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(multiplexer.execute, "ECHO", "first")
        assert held.leads.wait(10)
        second = threads.submit(held.follow, multiplexer)
        assert (first.result(10), second.result(10)) == ("first", "second")
    assert multiplexer.execute("ECHO", "third") == "third"


def test_no_thread_waits_for_ever_whatever_fails(
    multiplexer: Multiplexer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even what should never fail, such as closing a connection."""
    everybody = 8
    first_leader = threading.Semaphore(1)

    def fail_once_all_are_queued(calls: Sequence[Any]) -> None:
        if first_leader.acquire(blocking=False):
            eventually(lambda: len(calls) + len(multiplexer._queue) == everybody, "all queued")
        raise ZeroDivisionError

    def fail() -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as broken:
        broken.setattr(multiplexer, "_exchange", fail_once_all_are_queued)
        broken.setattr(multiplexer, "_close", fail)
        with ThreadPoolExecutor(everybody) as threads:
            asked = [threads.submit(multiplexer.execute, "ECHO", n) for n in range(everybody)]
            failures = [call.exception(10) for call in asked]
    assert {type(failure) for failure in failures} == {ZeroDivisionError}
    assert multiplexer.execute("ECHO", "again") == "again"
