from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from tasks.link import MOST_AT_ONCE, Link
from tasks.settings import Settings
from tasks.store import Store, connect
from tests.ports import free_port


@pytest.fixture
def link(store: Store) -> Link:
    return store.link


def test_each_thread_gets_the_reply_to_its_own_command(link: Link) -> None:
    with ThreadPoolExecutor(32) as threads:
        replies = list(threads.map(lambda n: link.execute("ECHO", n), range(5_000)))
    assert replies == [str(n) for n in range(5_000)]


def test_concurrent_commands_share_one_connection(link: Link, store: Store) -> None:
    before = store.redis.info("clients")["connected_clients"]
    with ThreadPoolExecutor(MOST_AT_ONCE * 2) as threads:
        list(threads.map(lambda n: link.execute("ECHO", n), range(1_000)))
    assert store.redis.info("clients")["connected_clients"] <= before + 1


def test_an_error_reaches_only_the_thread_that_caused_it(link: Link) -> None:
    def ask(number: int) -> str:
        try:
            return str(link.execute("ECHO", number) if number % 2 else link.execute("NOSUCH"))
        except ResponseError:
            return "refused"

    with ThreadPoolExecutor(16) as threads:
        replies = list(threads.map(ask, range(1_000)))
    assert replies == [str(n) if n % 2 else "refused" for n in range(1_000)]


def test_a_connection_found_dead_is_replaced_unseen(link: Link, store: Store) -> None:
    own = link.execute("CLIENT", "ID")
    store.redis.client_kill_filter(_id=str(own))
    assert link.execute("ECHO", "still here") == "still here"
    assert link.execute("CLIENT", "ID") != own


def test_a_redis_that_is_down_is_an_error_for_every_thread_and_the_next_call_tries_anew(
    settings: Settings,
) -> None:
    nowhere = Link(connect(replace(settings, redis_port=free_port())))

    def ask(_: int) -> str:
        with pytest.raises(RedisConnectionError):
            nowhere.execute("PING")
        return "refused"

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ask, range(50))) == ["refused"] * 50
