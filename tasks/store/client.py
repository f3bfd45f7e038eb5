"""The Redis client of a process: its connections, its clock, and the running of Lua scripts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from redis import BlockingConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError
from redis.retry import Retry

from tasks.config.settings import Settings
from tasks.store.multiplexer import Multiplexer
from tasks.store.scripts.script import Arg, Args, Row, Script


def connect(settings: Settings, max_connections: int = 16) -> Redis:
    """Create a client for many threads, which sends a command again once if the connection is dead.

    That is safe because every script here may be repeated: a second run finds the traces of the
    first and stops.
    """
    pool = BlockingConnectionPool(
        host=settings.redis_host,
        port=settings.redis_port,
        db=settings.redis_db,
        password=settings.redis_password,
        decode_responses=True,
        protocol=2,
        max_connections=max_connections,
        timeout=settings.redis_timeout_ms / 1000,
        socket_timeout=settings.redis_timeout_ms / 1000,
        socket_connect_timeout=settings.redis_timeout_ms / 1000,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), retries=1, supported_errors=(RedisConnectionError,)),
    )
    return Redis(connection_pool=pool)


class Store:
    """Redis as one process uses it: scripts and single commands over one shared connection.

    Pipelines and subscriptions use `redis`, which has a pool of its own connections.
    """

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self.redis = redis
        self._multiplexer = Multiplexer(redis)
        self.settings = settings

    def execute(self, *command: Arg) -> Any:
        """The reply to one command, which must be repeatable: see `tasks.store.multiplexer`.

        Raises:
            redis.RedisError: Redis is out of reach, or refused the command.
        """
        return self._multiplexer.execute(*command)

    def now_us(self) -> int:
        """Redis's clock, in microseconds since the epoch."""
        seconds, micros = self.execute("TIME")
        return int(seconds) * 1_000_000 + int(micros)

    def run(
        self,
        script: Script[Args, Row],
        args: Args,
        rows: Iterable[Row] = (),
        *,
        keys: Sequence[str] = (),
    ) -> Any:
        """The script's result. rows: what may repeat behind the arguments that stand once.

        Raises:
            redis.RedisError: Redis is out of reach, or its memory is full.
        """
        command = ("EVALSHA", script.sha, len(keys), *keys, *args, *chain.from_iterable(rows))
        try:
            return self.execute(*command)
        except NoScriptError:  # a new or flushed Redis
            self.execute("SCRIPT", "LOAD", script.text)
            return self.execute(*command)
