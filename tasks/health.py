"""What the service can do right now, as far as Redis knows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from tasks import keys
from tasks.lanes import Lane, Priority
from tasks.store import Store


@dataclass(frozen=True, slots=True)
class Health:
    """workers: live worker children by lane. depth: units by lane and priority, held ones too."""

    workers: dict[str, int]
    depth: dict[tuple[str, str], int]
    ended: dict[str, int]
    redis_bytes: int

    def missing(self) -> list[str]:
        """Why a job could not finish now; empty if it could."""
        return [] if self.workers.get(Lane.GPU) else ["no worker of the gpu lane is alive"]


def examine(store: Store) -> Health:
    """One round trip for the clock, one for the rest.

    Raises:
        redis.RedisError: Redis cannot be reached.
    """
    seconds, micros = store.redis.time()
    alive_since = seconds * 1000 + micros // 1000 - store.settings.lease_ms
    places = [(lane.value, priority.value) for lane in Lane for priority in Priority]
    pipe = store.redis.pipeline(transaction=False)
    pipe.zrangebyscore(keys.WORKERS, alive_since, "+inf")
    pipe.hgetall(keys.COUNTS)
    pipe.info("memory")
    for place in places:
        pipe.xlen(keys.stream(*place))
    alive, ended, memory, *depths = pipe.execute()
    return Health(
        workers=dict(Counter(member.split("/")[0] for member in alive)),
        depth=dict(zip(places, depths, strict=True)),
        ended={status: int(count) for status, count in ended.items()},
        redis_bytes=int(memory["used_memory"]),
    )
