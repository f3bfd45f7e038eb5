"""Simulation of a lane whose workers a rule scales, second by second, and the traffic traces."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from tasks.autoscaling.policy import ScalingLimits

HOUR = 3_600
DRAIN_OVER_S = 10  # the window that a lane's drain rate is measured over
Curve = Callable[[int], float]


@dataclass(frozen=True, slots=True)
class Trace:
    """rates: expected arrivals of each second, as multiples of `Setup.scale`."""

    name: str
    rates: Sequence[float]


@dataclass(frozen=True, slots=True)
class Setup:
    """rate: units/s of one worker. start_s: until it serves. every_s: between two decisions.

    scale: units/s at 1.0 of a trace.
    """

    name: str
    limits: ScalingLimits
    rate: float
    start_s: int
    every_s: int
    scale: float


POOL = Setup("pool child", ScalingLimits(1, 60, 10.0), rate=2.0, start_s=5, every_s=1, scale=9.0)
NODE = Setup("GPU node", ScalingLimits(0, 30, 120.0), rate=50.0, start_s=60, every_s=15, scale=90.0)


@dataclass(frozen=True, slots=True)
class View:
    """The inputs of a rule. inside: units waiting or in progress. arrived: since the last view."""

    now_s: int
    depth: int
    inside: int
    oldest_s: float
    drain_per_s: float
    current: int
    arrived: int


class Rule(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def every_s(self) -> int: ...
    def workers(self, view: View) -> int: ...


def traces(seed: int, hours: float = 1.0) -> list[Trace]:
    """The five traces; the day lasts 24 times `hours`, waves twice as long as the others."""
    hour = round(HOUR * hours)
    return [
        Trace("steady", [1.0] * hour),
        Trace("10x spike", [10.0 if 4 <= 12 * s / hour < 5 else 1.0 for s in range(hour)]),
        Trace("ramp", [0.5 + 8 * (1 - abs(2 * s / hour - 1)) for s in range(hour)]),
        Trace("on/off", [6.0 * (s * 6 // hour % 2 == 0) for s in range(2 * hour)]),
        Trace("diurnal", _day(np.random.default_rng(seed), 24 * hour)),
    ]


def _day(generator: np.random.Generator, length: int) -> list[float]:
    """A sine from 0.2 to 6.2 with noise of 20 % that lasts minutes."""
    noise, rates = 0.0, []
    for s in range(length):
        if s % 60 == 0:
            noise = 0.8 * noise + 0.12 * generator.standard_normal()
        rates.append((3.2 - 3 * math.cos(2 * math.pi * s / length)) * math.exp(noise))
    return rates


@dataclass(slots=True)
class Lane:
    """A lane, first in, first out. waits: number of units by seconds waited."""

    queue: deque[list[int]] = field(default_factory=deque)
    depth: int = 0
    waits: dict[int, int] = field(default_factory=dict)

    def add(self, now_s: int, units: int) -> None:
        if units:
            self.queue.append([now_s, units])
            self.depth += units

    def take(self, now_s: int, most: int) -> int:
        """Begin up to `most` units; returns their number."""
        left = most
        while left and self.queue:
            first = self.queue[0]
            some = min(left, first[1])
            waited = now_s - first[0]
            self.waits[waited] = self.waits.get(waited, 0) + some
            left, first[1] = left - some, first[1] - some
            if not first[1]:
                self.queue.popleft()
        self.depth -= most - left
        return most - left

    def oldest_s(self, now_s: int) -> int:
        return now_s - self.queue[0][0] if self.queue else 0


@dataclass(slots=True)
class Fleet:
    """The workers. starting: for each that does not serve yet, the second in which it will."""

    ready: int
    starting: list[int] = field(default_factory=list)

    @property
    def size(self) -> int:
        return self.ready + len(self.starting)

    def tick(self, now_s: int) -> None:
        self.ready += sum(at <= now_s for at in self.starting)
        self.starting = [at for at in self.starting if at > now_s]

    def resize(self, workers: int, serves_at: int) -> None:
        """Scale to a size; workers that do not serve yet are removed first."""
        if workers >= self.size:
            self.starting += [serves_at] * (workers - self.size)
            return
        self.starting = self.starting[: max(0, workers - self.ready)]
        self.ready = min(self.ready, workers)


@dataclass(frozen=True, slots=True)
class Run:
    """Result of a simulation. sizes: workers in each second. ages: of the oldest waiting unit."""

    trace: str
    rule: str
    target_s: float
    p95_s: int
    sizes: Sequence[int]
    ages: Sequence[int]

    @property
    def met(self) -> bool:
        return self.p95_s <= self.target_s

    @property
    def hours(self) -> float:
        return sum(self.sizes) / HOUR

    @property
    def reversals(self) -> list[int]:
        """Seconds in which the size changed in the direction opposite to the change before."""
        found, last = [], 0
        for s in range(1, len(self.sizes)):
            change = self.sizes[s] - self.sizes[s - 1]
            if change * last < 0:
                found.append(s)
            last = change or last
        return found


def simulate(trace: Trace, setup: Setup, rule: Rule, seed: int) -> Run:
    """Run a rule on a trace. Arrivals and completions are Poisson; a seed fixes the arrivals."""
    arrivals = np.random.default_rng(seed).poisson(np.array(trace.rates) * setup.scale).tolist()
    chance = np.random.default_rng(seed + 1)
    lane, fleet, done = Lane(), Fleet(setup.limits.lowest), deque([0], maxlen=DRAIN_OVER_S)
    sizes, ages, arrived = [], [], 0
    for now, units in enumerate(arrivals):
        fleet.tick(now)
        lane.add(now, units)
        arrived += units
        done.append(lane.take(now, int(chance.poisson(fleet.ready * setup.rate))))
        if now % rule.every_s == 0:
            busy = min(fleet.ready, math.ceil(done[-1] / setup.rate))
            drain, oldest = sum(done) / len(done), lane.oldest_s(now)
            view = View(now, lane.depth, lane.depth + busy, oldest, drain, fleet.size, arrived)
            fleet.resize(rule.workers(view), now + setup.start_s)
            arrived = 0
        sizes.append(fleet.size)
        ages.append(lane.oldest_s(now))
    lane.take(len(arrivals), lane.depth)  # units that are left have waited until the end, at least
    return Run(trace.name, rule.name, setup.limits.target_wait_s, p95(lane.waits), sizes, ages)


def p95(waits: dict[int, int]) -> int:
    """The wait in seconds that 95 % of the units do not exceed."""
    left = 0.95 * sum(waits.values())
    for waited in sorted(waits):
        left -= waits[waited]
        if left <= 0:
            return waited
    return 0
