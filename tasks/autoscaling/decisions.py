"""Scaling decisions: how many workers each inference lane should have, decided once a second.

The worker that sweeps decides, by `tasks.autoscaling.policy`, and saves the decision in Redis; all
others read it. A decision is saved only if the one it was computed from is still the last one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import orjson

from tasks.autoscaling.policy import LaneLoad, PolicyState, ScalingLimits, desired_workers
from tasks.config.settings import Settings
from tasks.jobs.lanes import Lane
from tasks.status.health import oldest_waiting_s, read_health
from tasks.store import keys
from tasks.store.client import Store
from tasks.store.scripts.autoscaling import SAVE_DECISION, SaveDecisionArgs
from tasks.telemetry.logs import get_logger

log = get_logger(__name__)

LANES: Final = (Lane.GPU, Lane.CPU)
EVERY_US: Final = 900_000  # about once a second: sweeps are a second apart only on average
SMOOTH_S: Final = 1.5  # time constant of the drain rate: units are settled in batches


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision on one lane. decided: Redis's clock, us; 0: there was none yet.

    desired: workers. memory: state of the policy. settled: units that the lane had ever settled by
    then. drain_per_s: recent rate of that.
    """

    desired: int
    memory: PolicyState
    decided: int = 0
    settled: int = 0
    drain_per_s: float = 0.0

    def drain(self, settled: int, now_us: int) -> float:
        """Smoothed units per second at `now_us`. settled: units ever settled by then."""
        if not self.decided:
            return 0.0
        past_s = max(1e-3, (now_us - self.decided) / 1e6)
        seen = max(0, settled - self.settled) / past_s
        return self.drain_per_s + (seen - self.drain_per_s) * -math.expm1(-past_s / SMOOTH_S)


def limits_of(settings: Settings, lane: Lane) -> ScalingLimits:
    """The limits that the settings give a lane."""
    lowest, highest = (
        (settings.gpu_workers_min, settings.gpu_workers_max)
        if lane is Lane.GPU
        else settings.cpu_workers_range
    )
    return ScalingLimits(lowest, highest, settings.scale_target_wait_s, settings.scale_cool_down_s)


def decide(store: Store) -> None:
    """Decide for each lane whose last decision is a second old.

    Raises:
        redis.RedisError: Redis cannot be reached.
    """
    now_us, kept = store.now_us(), read_decisions(store)
    due = [lane for lane in LANES if now_us - kept[lane].decided >= EVERY_US]
    if not due:
        return
    settled = _settled(store)
    seen = _loads(store, {lane: kept[lane].drain(settled[lane], now_us) for lane in LANES})
    for lane in due:
        load, before, limits = seen[lane], kept[lane], limits_of(store.settings, lane)
        wanted, memory = desired_workers(load, limits, before.memory, now_us / 1e6)
        after = Decision(wanted, memory, now_us, settled[lane], load.drain_per_s)
        if _save(store, lane, before, after) and wanted != before.desired:
            log.info(
                "lane scales", lane=lane, desired=wanted, before=before.desired, **asdict(load)
            )


def _save(store: Store, lane: Lane, before: Decision, after: Decision) -> bool:
    """Save a decision (autoscaling/save_decision.lua); False if another was saved meanwhile."""
    memory, drain = orjson.dumps(asdict(after.memory)), f"{after.drain_per_s:.6f}"
    args = SaveDecisionArgs(
        lane=lane,
        previous_us=before.decided,
        memory=memory,
        desired=after.desired,
        settled=after.settled,
        drain_per_s=drain,
    )
    return bool(store.run(SAVE_DECISION, args))


def read_decisions(store: Store) -> dict[Lane, Decision]:
    """The last decision on each lane; before the first, the fewest workers that are allowed.

    Raises:
        redis.RedisError: Redis cannot be reached.
    """
    pipe = store.redis.pipeline(transaction=False)
    for lane in LANES:
        pipe.hgetall(keys.scale(lane))
    return {
        lane: _read(kept, limits_of(store.settings, lane))
        for lane, kept in zip(LANES, pipe.execute(), strict=True)
    }


def view_lane(store: Store, lane: Lane) -> dict[str, Any]:
    """A lane's last decision and its load now, as JSON values.

    Raises:
        redis.RedisError: Redis cannot be reached.
    """
    kept = read_decisions(store)
    load = _loads(store, {lane: decision.drain_per_s for lane, decision in kept.items()})[lane]
    return {
        "lane": lane,
        "desired": kept[lane].desired,
        "current": load.current,
        "depth": load.depth,
        "oldest_age_s": load.oldest_s,
        "drain_rate": load.drain_per_s,
    }


def _loads(store: Store, drain_per_s: Mapping[Lane, float]) -> dict[Lane, LaneLoad]:
    """Measure the lanes. Depth includes claimed units: a worker that holds some is not idle."""
    health, ages = read_health(store), oldest_waiting_s(store)
    return {
        lane: LaneLoad(
            depth=sum(units for (of, _), units in health.depth.items() if of == lane),
            oldest_s=ages[lane],
            drain_per_s=drain_per_s[lane],
            current=health.workers.get(lane, 0),
        )
        for lane in LANES
    }


def _settled(store: Store) -> dict[Lane, int]:
    pipe = store.redis.pipeline(transaction=False)
    for lane in LANES:
        pipe.get(keys.settled(lane))
    return {lane: int(units or 0) for lane, units in zip(LANES, pipe.execute(), strict=True)}


def _read(kept: Mapping[str, str], limits: ScalingLimits) -> Decision:
    if not kept:
        return Decision(limits.lowest, PolicyState())
    return Decision(
        desired=int(kept["desired"]),
        memory=_memory(kept["memory"]),
        decided=int(kept["decided"]),
        settled=int(kept["settled"]),
        drain_per_s=float(kept["drain"]),
    )


def _memory(text: str) -> PolicyState:
    """The saved state of the policy; empty if another version of the policy wrote it."""
    try:
        return PolicyState(**orjson.loads(text))
    except TypeError:
        return PolicyState()
