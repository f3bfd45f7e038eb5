"""Health of the service, read from Redis: live workers, depth of lanes, memory, dead letters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.client import Pipeline

from tasks.jobs.lanes import Lane, Priority
from tasks.store import keys
from tasks.store.client import Store
from tasks.store.scripts.status import OLDEST_WAITING, OldestWaitingArgs

_INFERENCE = (Lane.GPU, Lane.CPU)
_STREAMS = [(lane.value, priority.value) for lane in Lane for priority in Priority]


@dataclass(frozen=True, slots=True)
class Health:
    """Health as Redis has it.

    workers: live worker children by lane. depth: units by lane and priority, claimed ones too.
    load: bytes of input by lane. drain_rate: units per second by lane, while it was last busy.
    """

    workers: dict[str, int]
    depth: dict[tuple[str, str], int]
    load: dict[str, int]
    drain_rate: dict[str, float]
    redis_bytes: int
    redis_max_bytes: int
    dead_units: int
    dead_webhooks: int

    @property
    def could_finish(self) -> bool:
        """Whether a job submitted now could finish, if necessary with a degraded answer."""
        return any(self.workers.get(lane) for lane in _INFERENCE)

    def missing(self) -> list[str]:
        """What is missing for normal service, as sentences; empty if nothing is."""
        return [
            f"no worker of the {lane} lane is alive"
            for lane in _INFERENCE
            if not self.workers.get(lane)
        ]


def read_health(store: Store) -> Health:
    """Read the health of the service in one round trip.

    Raises:
        redis.RedisError: Redis cannot be reached.
    """
    pipe = store.redis.pipeline(transaction=False)
    add_health_commands(pipe)
    return parse_health(pipe.execute(), store.settings.lease_ms)


def add_health_commands(pipe: Pipeline) -> None:
    """Add the commands whose replies `parse_health` takes."""
    pipe.time()
    pipe.zrange(keys.WORKERS, 0, -1, withscores=True)
    pipe.info("memory")
    pipe.xlen(keys.DEAD)
    pipe.xlen(keys.DEAD_WEBHOOKS)
    for stream in _STREAMS:
        pipe.xlen(keys.stream(*stream))
    for lane in Lane:
        pipe.hgetall(keys.load(lane))
    for lane in Lane:
        pipe.hget(keys.rate(lane), "per_s")


def parse_health(replies: Sequence[Any], lease_ms: int) -> Health:
    """Build from the replies. lease_ms: for so long after its last heartbeat a worker is alive."""
    (seconds, micros), heartbeats, memory, dead_units, dead_webhooks, *rest = replies
    alive_since = seconds * 1000 + micros // 1000 - lease_ms
    alive = [member for member, ms in heartbeats if ms >= alive_since]
    lengths, loads, rates = _split_replies(rest, len(_STREAMS))
    return Health(
        workers=dict(Counter(member.split("/")[0] for member in alive)),
        depth={
            (lane, priority): length + int(loads[lane].get(f"parked:{priority}", 0))
            for (lane, priority), length in zip(_STREAMS, lengths, strict=True)
        },
        load={lane: int(load.get("bytes", 0)) for lane, load in loads.items()},
        drain_rate={lane: float(rate or 0) for lane, rate in rates.items()},
        redis_bytes=int(memory["used_memory"]),
        redis_max_bytes=int(memory["maxmemory"]),
        dead_units=int(dead_units),
        dead_webhooks=int(dead_webhooks),
    )


def oldest_waiting_s(store: Store) -> dict[str, float]:
    """Age of the oldest waiting unit by lane, in seconds; 0 if none waits.

    Raises:
        redis.RedisError: Redis cannot be reached.
    """
    ages: list[int] = store.run(OLDEST_WAITING, OldestWaitingArgs(), [list(Lane)])
    return {lane.value: ms / 1000 for lane, ms in zip(Lane, ages, strict=True)}


def _split_replies(
    rest: list[Any], streams: int
) -> tuple[list[int], dict[str, Any], dict[str, Any]]:
    lanes = [lane.value for lane in Lane]
    loads, rates = rest[streams : streams + len(lanes)], rest[streams + len(lanes) :]
    return (
        rest[:streams],
        dict(zip(lanes, loads, strict=True)),
        dict(zip(lanes, rates, strict=True)),
    )
