"""Finds the batch budget: how many padded tokens one call of a tier should have on its device.

Larger batches keep a device busier, up to a point; beyond it they only take longer. `measure` times
one tier over batches of growing size, and `knee` finds that point, the knee. See docs/batching.md.
"""

from __future__ import annotations

import logging
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

from ml.pipeline import Features, Item, Pipeline, Tier, TierRef
from ml.registry import ArtifactError, Artifacts
from ml.serving.device_faults import free_cached_memory, out_of_memory
from ml.serving.error_causes import error_location

log = logging.getLogger(__name__)

KEY: Final = "batch_tokens"  # in a manifest: {device: {tier: tokens}}
MOST_TOKENS: Final = 32_768  # of the largest batch tried
MOST_ITEMS: Final = 1_024  # a claim and a commit of so many items block Redis for some 25 ms each
TEXT_TOKENS: Final = 32  # the example's texts are repeated up to this length
GOOD_ENOUGH: Final = 0.95  # of the best throughput: a call twice as long is not worth the rest
REPEATS: Final = 3  # calls whose median counts, after one that warms up
CALIBRATION_S: Final = 5.0
SHARE_OF_LIMIT: Final = 0.1  # of a tier's time limit that a call may take on an idle device


@dataclass(frozen=True, slots=True)
class Budget:
    """The budget that a runtime packs by, and how many items to claim to fill it."""

    tokens: int
    items: int


@dataclass(frozen=True, slots=True)
class Point:
    """A batch size that was timed. tokens: the budget. rate: padded tokens a second."""

    tokens: int
    items: int
    rate: float


@dataclass(frozen=True, slots=True)
class Limits:
    """seconds: limit of all calls together. call_s: of one call; a slower budget is left out."""

    seconds: float = CALIBRATION_S
    call_s: float = float("inf")

    @classmethod
    def of(cls, ref: TierRef, seconds: float = CALIBRATION_S) -> Limits:
        return cls(seconds, ref.timeout_s * SHARE_OF_LIMIT)


class End(StrEnum):
    """Why no larger batch was timed."""

    LARGEST = "the largest batch was tried"
    TIME = "there was no time for more"
    SLOW = "a larger batch takes too much of the tier's time limit"
    MEMORY = "there was no memory for more"
    ERROR = "a larger batch failed"


@dataclass(frozen=True, slots=True)
class Sweep:
    """Batches of growing size that were timed."""

    points: Sequence[Point]
    end: End

    def __str__(self) -> str:
        rates = [f"{point.tokens}: {point.rate:.0f} tokens/s" for point in self.points]
        return ", ".join([*rates, self.end])

    def budget(self, default: int) -> int | None:
        """The knee in tokens; None if too little was measured, because `default` lies beyond it."""
        if not self.points or (self.end is End.TIME and self.points[-1].tokens < default):
            return None
        return knee(self.points).tokens


Clock = Callable[[], float]


def find(pipeline: Pipeline, ref: TierRef, tier: Tier, device: str) -> Budget:
    """The manifest's budget for this device, else one measured on a GPU, else the pipeline's own.

    Raises:
        ArtifactError: the manifest's figure is no positive integer.
    """
    name, source = device_name(device), "its manifest"
    tokens = known(pipeline.artifacts, name, ref.name)
    if tokens is None and device != "cpu":
        sweep = calibrate(pipeline, tier, device, Limits.of(ref))
        tokens, source = sweep.budget(pipeline.batch_tokens), f"calibration ({sweep})"
    found = Budget(pipeline.batch_tokens, pipeline.batch_items)
    if tokens is not None:
        least = pipeline.batch_items
        found = Budget(tokens, items_for(tokens, _cost(long_example(pipeline)), least))
    elif device == "cpu":
        source = "its own default"
    what = f"{found.tokens} tokens, {found.items} items"
    log.info("batches of %s, tier %s on %s: %s by %s", pipeline.name, ref.name, name, what, source)
    return found


def known(artifacts: Artifacts | None, device: str, tier: str) -> int | None:
    """The manifest's budget of a tier on a device; raises ArtifactError if it is invalid."""
    if artifacts is None:
        return None
    tokens = artifacts.manifest.get(KEY, {}).get(device, {}).get(tier)
    if tokens is not None and (type(tokens) is not int or tokens < 1):
        where = f"{artifacts.path}: {KEY} of tier {tier!r} on {device!r}"
        raise ArtifactError(f"{where} is {tokens!r}, it must be a whole number of tokens above 0")
    return tokens


def items_for(tokens: int, cost: int, least: int) -> int:
    """Items to claim at once, so that those of `cost` tokens fill the budget; at least `least`."""
    return max(least, min(MOST_ITEMS, tokens // cost))


def calibrate(
    pipeline: Pipeline,
    tier: Tier,
    device: str,
    limits: Limits,
    clock: Clock = time.perf_counter,
) -> Sweep:
    """Time `tier` on batches of the pipeline's example, made as long as a usual text."""
    batch = [long_example(pipeline)] * MOST_ITEMS
    finish = synchronizer(device)

    def call(items: int) -> None:
        finish()
        tier.predict(batch[:items])
        finish()

    return measure(call, _cost(batch[0]), limits, clock)


def measure(
    call: Callable[[int], None], cost: int, limits: Limits, clock: Clock = time.perf_counter
) -> Sweep:
    """Time batches of growing size until memory, time or sizes run out.

    call: runs a batch of so many items, of `cost` tokens each, and returns when it is done. The
    time limit may be passed by one call.
    """
    points: list[Point] = []
    until, guess_s = clock() + limits.seconds, 0.0
    for tokens in budgets(cost):
        items = tokens // cost
        try:
            taken = _time(partial(call, items), clock, until, guess_s)
        except Exception as error:
            return Sweep(points, _end_of(error, items))
        if taken is None:
            return Sweep(points, End.TIME)
        if taken > limits.call_s:
            return Sweep(points, End.SLOW)
        points.append(Point(tokens, items, items * cost / max(taken, 1e-9)))
        guess_s = 2 * taken
    return Sweep(points, End.LARGEST)


def knee(points: Sequence[Point]) -> Point:
    """The smallest point whose throughput is nearly the best; `points` must not be empty."""
    best = max(point.rate for point in points)
    good = (point for point in points if point.rate >= GOOD_ENOUGH * best)
    return min(good, key=lambda point: point.tokens)


def budgets(cost: int) -> Iterator[int]:
    """Powers of two from one item of `cost` tokens to the most tokens or items."""
    tokens = 1 << max(0, cost - 1).bit_length()
    while tokens <= MOST_TOKENS and tokens // cost <= MOST_ITEMS:
        yield tokens
        tokens *= 2


def long_example(pipeline: Pipeline) -> Features:
    """Features of the example, its texts repeated until it is as long as a typical text."""
    found = _features(pipeline, pipeline.example)
    for times in range(2, TEXT_TOKENS + 1):
        if found.cost >= TEXT_TOKENS:
            break
        longer = _features(pipeline, _repeated(pipeline.example, times))
        if longer.cost <= found.cost:
            break
        found = longer
    return found


def synchronizer(device: str) -> Callable[[], object]:
    """A function that waits until the device is idle: CUDA calls return before they are done."""
    if device == "cpu":
        return lambda: None
    cuda = _cuda()
    return lambda: cuda.synchronize(device)


def device_name(device: str) -> str:
    """The name of a device in manifests: the GPU as CUDA names it, or the CPU's model."""
    if device != "cpu":
        return str(_cuda().get_device_name(device))
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def _cuda() -> Any:
    return sys.modules["torch"].cuda  # a process with a tier on a GPU has imported it


def _time(call: Callable[[], None], clock: Clock, until: float, guess_s: float) -> float | None:
    """Median seconds of a few calls after the first; None if there was no time for one."""
    taken: list[float] = []
    for _ in range(1 + REPEATS):
        began = clock()
        if began + guess_s > until:
            break
        call()
        guess_s = clock() - began
        taken.append(guess_s)
    return median(taken[1:]) if taken[1:] else None


def _end_of(error: Exception, items: int) -> End:
    if out_of_memory(error):
        free_cached_memory()
        return End.MEMORY
    # A lost device fails the trial that follows; any other error leaves smaller batches valid.
    log.warning("a batch of %d items failed in calibration: %s", items, error_location(error))
    return End.ERROR


def _features(pipeline: Pipeline, entry: Mapping[str, Any]) -> Features:
    return pipeline.features([Item(entry)])[0]


def _cost(features: Features) -> int:
    return max(1, features.cost)


def _repeated(entry: Mapping[str, Any], times: int) -> dict[str, Any]:
    return {
        key: " ".join([value] * times) if isinstance(value, str) else value
        for key, value in entry.items()
    }
