"""What the service can do right now, as far as Redis knows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from tasks import keys
from tasks.lanes import Lane, Priority
from tasks.store import Store

_INFERENCE = (Lane.GPU, Lane.CPU)


@dataclass(frozen=True, slots=True)
class Health:
    """As Redis keeps it.

    workers: live worker children by lane. depth: units by lane and priority, held ones too.
    load: bytes of input by lane.
    """

    workers: dict[str, int]
    depth: dict[tuple[str, str], int]
    load: dict[str, int]
    ended: dict[str, int]
    redis_bytes: int

    @property
    def could_finish(self) -> bool:
        """Whether a job submitted now could finish, if need be with a degraded answer."""
        return any(self.workers.get(lane) for lane in _INFERENCE)

    def missing(self) -> list[str]:
        """What keeps jobs from being served as they should be; empty if nothing does."""
        return [
            f"no worker of the {lane} lane is alive"
            for lane in _INFERENCE
            if not self.workers.get(lane)
        ]


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
    for lane in Lane:
        pipe.hgetall(keys.load(lane))
    alive, ended, memory, *rest = pipe.execute()
    lengths, loads = rest[: len(places)], dict(zip(Lane, rest[len(places) :], strict=True))
    return Health(
        workers=dict(Counter(member.split("/")[0] for member in alive)),
        depth={
            (lane, priority): length + int(loads[Lane(lane)].get(f"parked:{priority}", 0))
            for (lane, priority), length in zip(places, lengths, strict=True)
        },
        load={lane.value: int(load.get("bytes", 0)) for lane, load in loads.items()},
        ended={status: int(count) for status, count in ended.items()},
        redis_bytes=int(memory["used_memory"]),
    )
