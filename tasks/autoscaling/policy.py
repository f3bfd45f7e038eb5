"""Autoscaling policy: computes from measurements how many workers a lane should have.

To grow: how many workers make a unit that arrives `h` seconds from now wait at most `aim`? By then
the lane holds `depth + (arrival - n * rate) * h` units, which wait `that / (n * rate)` (Little's
law), so `n = (depth + arrival * h) / (rate * (aim + h))`. To shrink: would fewer workers keep up
with recent arrivals? Between the two answers nothing changes (hysteresis), so a worker that was
removed is not needed again at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

GREATEST = 1e12  # bound of every figure, so that sums and products of two stay finite
LEAST_RATE = 1e-6  # units/s of one worker; a lower rate counts as unknown
AIM, AHEAD = 0.7, 0.5  # `aim` and `h`, as shares of the target wait
# To turn from growing to shrinking, the remaining workers must have this margin over arrivals, so
# that a random peak does not fill the lane again. A further shrink needs none.
SPARE = 1.15
RISEN = 1.05  # a worker's rate that grew by this factor is still being measured
DRAIN_OVER_S = 15.0  # what the drain rate is measured over, at most


@dataclass(frozen=True, slots=True)
class LaneLoad:
    """One measurement of a lane.

    depth: units waiting. oldest_s: age of the oldest of them. drain_per_s: units/s settled by the
    whole lane, measured over seconds. current: workers, those that are still starting included.
    """

    depth: int
    oldest_s: float
    drain_per_s: float
    current: int


@dataclass(frozen=True, slots=True)
class ScalingLimits:
    """Bounds and times of the policy. lowest, highest: workers.

    target_wait_s: should be at least twice the time that a worker needs to start. cool_down_s:
    least time from any change to shrinking, and between two changes of direction. idle_s: how long
    the lane must be empty before it has no worker, if `lowest` is 0.
    """

    lowest: int
    highest: int
    target_wait_s: float
    cool_down_s: float = 60.0
    idle_s: float = 300.0


@dataclass(frozen=True, slots=True)
class PolicyState:
    """What a decision needs of the earlier ones; numbers and None, so that it is valid JSON.

    per_worker: units/s of one worker, smoothed; 0: not known yet. recent, usual: arrivals in
    units/s, smoothed over half the target and over half the cool-down. wanted: the last answer.
    direction: of the last change. turned_s: when a change last went against the one before.
    """

    changed_s: float | None = None
    direction: int = 0
    turned_s: float | None = None
    idle_since_s: float | None = None
    seen_s: float | None = None
    depth: int = 0
    per_worker: float = 0.0
    recent: float = 0.0
    usual: float = 0.0
    wanted: int | None = None


def desired_workers(
    load: LaneLoad, limits: ScalingLimits, memory: PolicyState, now_s: float
) -> tuple[int, PolicyState]:
    """Workers the lane should have, and the state for the next call. Never raises.

    Growing is immediate and as far as needed. Shrinking comes after a cool-down, at most half at a
    time. Two changes of direction are at least a cool-down apart, except when growing from 0.
    """
    load, limits = _clamped(load), _valid_limits(limits)
    before = load.current if memory.wanted is None else memory.wanted
    seen = _updated(load, limits, memory, now_s)
    workers = min(max(before, limits.lowest), limits.highest)
    if workers == before:
        workers = _next(load, limits, seen, before, now_s)
        if workers > before > 0 and seen.per_worker > memory.per_worker * RISEN:
            workers = before
    return workers, _changed(seen, before, workers, now_s)


def _next(
    load: LaneLoad, limits: ScalingLimits, seen: PolicyState, before: int, now_s: float
) -> int:
    if before == 0:
        return min(max(1, _need(load, limits, seen)), limits.highest) if load.depth else 0
    need = _grown(load, limits, seen, before, now_s)
    if need > before:
        turning = seen.direction < 0 and _since(seen.turned_s, now_s) < limits.cool_down_s
        return before if turning else min(need, limits.highest)
    if _since(seen.changed_s, now_s) < limits.cool_down_s:
        return before
    return _shrunk(load, limits, seen, before, now_s)


def _grown(
    load: LaneLoad, limits: ScalingLimits, seen: PolicyState, before: int, now_s: float
) -> int:
    """Workers needed; one more, or twice as many, if the measured wait shows these are too few."""
    need, half = _need(load, limits, seen), limits.target_wait_s / 2
    if _since(seen.changed_s, now_s) < half:
        return need
    if seen.per_worker < LEAST_RATE:
        return before * 2 if load.oldest_s > half else before
    return max(need, before + 1) if load.oldest_s > limits.target_wait_s else need


def _shrunk(
    load: LaneLoad, limits: ScalingLimits, seen: PolicyState, before: int, now_s: float
) -> int:
    if limits.lowest == 0 and _idle_for(seen, now_s) >= limits.idle_s:
        return 0
    if seen.per_worker < LEAST_RATE:
        return before if load.depth else max(limits.lowest, 1, (before + 1) // 2)
    spare = 1.0 if seen.direction < 0 else SPARE
    fits = _ceil(seen.usual * spare / seen.per_worker)
    keep = max(fits, _need(load, limits, seen), limits.lowest, 1, (before + 1) // 2)
    return min(keep, before)


def _need(load: LaneLoad, limits: ScalingLimits, seen: PolicyState) -> int:
    """Workers needed by Little's law, see the top of this file; 0: a worker's rate is unknown."""
    if seen.per_worker < LEAST_RATE:
        return 0
    aim, ahead = AIM * limits.target_wait_s, AHEAD * limits.target_wait_s
    # All waiting units arrived within the age of the oldest: a rate that needs no history.
    arrival = max(seen.recent, load.depth / max(load.oldest_s, ahead / 2))
    return _ceil((load.depth + arrival * ahead) / (seen.per_worker * (aim + ahead)))


def _updated(
    load: LaneLoad, limits: ScalingLimits, memory: PolicyState, now_s: float
) -> PolicyState:
    """The state updated with this measurement."""
    step = 0.0 if memory.seen_s is None else max(0.0, now_s - memory.seen_s)
    last = min(max(memory.depth, 0), int(GREATEST))
    grown = (load.depth - last) / step if step > 0 else 0.0
    arrival = min(max(0.0, load.drain_per_s + grown), GREATEST)
    quiet = load.depth == 0 and load.drain_per_s * limits.idle_s < 1
    idle_since = memory.idle_since_s if memory.idle_since_s is not None else now_s
    return replace(
        memory,
        seen_s=now_s,
        depth=load.depth,
        idle_since_s=idle_since if quiet else None,
        recent=_smoothed(memory.recent, arrival, step, limits.target_wait_s / 2),
        usual=_smoothed(memory.usual, arrival, step, limits.cool_down_s / 2),
        per_worker=_rate(load, limits, memory, now_s, step),
    )


def _rate(
    load: LaneLoad, limits: ScalingLimits, memory: PolicyState, now_s: float, step: float
) -> float:
    """Units/s of one worker. Idle or starting workers hide it, so it falls only if all are busy."""
    known = min(max(memory.per_worker, 0.0), GREATEST)
    if not load.current:
        return known
    worked, unchanged_s = load.drain_per_s / load.current, _since(memory.changed_s, now_s)
    if worked > known:
        # After a shrink the drain rate still includes the work of removed workers.
        left = memory.direction < 0 and unchanged_s < DRAIN_OVER_S
        quick = min(limits.target_wait_s / 4, DRAIN_OVER_S / 3)
        return known if left else _smoothed(known, worked, step, quick)
    starting = memory.direction > 0 and unchanged_s < limits.target_wait_s / 2 + DRAIN_OVER_S
    # A lane that settles nothing is stuck, not slow: that says nothing about a worker's rate.
    if starting or load.depth < load.current or not load.drain_per_s:
        return known
    return _smoothed(known, worked, step, limits.cool_down_s / 2)


def _changed(seen: PolicyState, before: int, workers: int, now_s: float) -> PolicyState:
    if workers == before:
        return replace(seen, wanted=workers)
    direction = 1 if workers > before else -1
    turned = now_s if direction * seen.direction < 0 else seen.turned_s
    return replace(seen, wanted=workers, changed_s=now_s, direction=direction, turned_s=turned)


def _smoothed(before: float, now: float, step: float, over: float) -> float:
    """Exponentially weighted average; `over` is the time constant, in seconds."""
    share = -math.expm1(-min(step / over, 50.0)) if over > 0 else 1.0
    return min(max(before + (now - before) * share, 0.0), GREATEST)


def _since(moment_s: float | None, now_s: float) -> float:
    """Seconds since a moment. One in the future counts as long ago: the clock was set back."""
    return math.inf if moment_s is None or moment_s > now_s else now_s - moment_s


def _idle_for(seen: PolicyState, now_s: float) -> float:
    return -1.0 if seen.idle_since_s is None else _since(seen.idle_since_s, now_s)


def _ceil(workers: float) -> int:
    # Slightly less, since 3.0000000000000004 workers are three.
    return math.ceil(min(workers, GREATEST) - 1e-9)


def _clamped(load: LaneLoad) -> LaneLoad:
    most = int(GREATEST)
    return LaneLoad(
        min(max(load.depth, 0), most),
        min(max(load.oldest_s, 0.0), GREATEST),
        min(max(load.drain_per_s, 0.0), GREATEST),
        min(max(load.current, 0), most),
    )


def _valid_limits(limits: ScalingLimits) -> ScalingLimits:
    lowest = min(max(limits.lowest, 0), int(GREATEST))
    return ScalingLimits(
        lowest,
        min(max(limits.highest, lowest), int(GREATEST)),
        min(max(limits.target_wait_s, 1e-3), GREATEST),
        min(max(limits.cool_down_s, 0.0), GREATEST),
        min(max(limits.idle_s, 0.0), GREATEST),
    )
