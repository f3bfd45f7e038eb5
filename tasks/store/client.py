"""The connection to Redis and the scripts that change state in it, one Lua file per operation."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from redis import BlockingConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError
from redis.retry import Retry

from tasks.config.settings import Settings
from tasks.store.multiplexer import Link

LUA = Path(__file__).parents[1] / "lua"

SHARED = ("includes/prelude", "includes/series", "includes/units", "includes/finish")

Arg = str | int | bytes


def connect(settings: Settings, max_connections: int = 16) -> Redis:
    """A client for many threads; commands are sent again once, on a connection found dead.

    That is safe because every script here may be repeated: it finds its own traces and stops.
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


class Script:
    """One atomic operation: its Lua file behind those that all share."""

    def __init__(self, name: str) -> None:
        self.text = "".join((LUA / f"{part}.lua").read_text() for part in (*SHARED, name))
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


SUBMIT = Script("jobs/submit")
STAGE = Script("jobs/stage")
DISCARD = Script("jobs/discard")
CLAIM = Script("queue/claim")
RENEW = Script("queue/renew")
COMMIT = Script("queue/commit")
RELEASE = Script("queue/release")
CANCEL = Script("jobs/cancel")
SWEEP = Script("queue/sweep")
LEAVE = Script("queue/deregister")
READ = Script("jobs/read")
LIST = Script("jobs/list")
VERDICT = Script("queue/breaker_record")
PROBE = Script("queue/breaker_probe")
DELIVERED = Script("webhooks/record")
REDELIVER = Script("webhooks/redeliver")
READ_KEYS = Script("api_keys/read")
WRITE_KEYS = Script("api_keys/write")
ENDPOINT = Script("webhooks/put_endpoint")
PREPARE = Script("webhooks/load")
PING = Script("webhooks/enqueue")
SAMPLE = Script("drift/add_samples")
DRIFT = Script("drift/save_report")
AGES = Script("status/oldest_waiting")
SCALE = Script("autoscaling/save_decision")


class Store:
    """Redis as one process uses it: scripts over a shared link, the rest by `redis`."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self.redis = redis
        self.link = Link(redis)
        self.settings = settings

    def now_us(self) -> int:
        """Redis's clock, in microseconds since the epoch."""
        seconds, micros = self.link.execute("TIME")
        return int(seconds) * 1_000_000 + int(micros)

    def run(self, script: Script, args: Sequence[Arg], keys: Sequence[str] = ()) -> Any:
        """The script's result.

        Raises:
            redis.RedisError: Redis is out of reach, or its memory is full.
        """
        command = ("EVALSHA", script.sha, len(keys), *keys, *args)
        try:
            return self.link.execute(*command)
        except NoScriptError:  # a new or flushed Redis
            self.link.execute("SCRIPT", "LOAD", script.text)
            return self.link.execute(*command)
