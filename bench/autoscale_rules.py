"""The autoscaling rules that `make bench-autoscale` compares: Penstock's, Celery's and KEDA's."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from bench.autoscale_sim import Setup, View
from tasks.autoscaling.policy import LaneLoad, PolicyState, ScalingLimits, desired_workers

CELERY_KEEPALIVE_S = 30  # AUTOSCALE_KEEPALIVE
CELERY_PREFETCH = 4  # worker_prefetch_multiplier
HPA_SYNC_S = 15  # --horizontal-pod-autoscaler-sync-period
HPA_TOLERANCE = 0.1
HPA_STABILIZATION_S = 300  # downscale
HPA_LEAST_STEP = 4  # a scale-up may double the pods or add four, whichever is more, in 15 s
KEDA_COOL_DOWN_S = 300  # cooldownPeriod, before there is no pod


@dataclass(slots=True)
class Penstock:
    """Penstock's rule, `tasks.autoscaling.policy`."""

    setup: Setup
    memory: PolicyState = field(default_factory=PolicyState)
    name: str = "Penstock"

    @property
    def every_s(self) -> int:
        return self.setup.every_s

    def workers(self, view: View) -> int:
        load = LaneLoad(view.depth, view.oldest_s, view.drain_per_s, view.current)
        found, self.memory = desired_workers(load, self.setup.limits, self.memory, view.now_s)
        return found


@dataclass(slots=True)
class Celery:
    """celery.worker.autoscale.Autoscaler: a process for each task that the worker has reserved.

    It shrinks after 30 s without a scale-up and without a received task.
    """

    limits: ScalingLimits
    name: str = "Celery --autoscale"
    every_s: int = 1
    active_s: int | None = None

    def workers(self, view: View) -> int:
        if view.arrived:
            self.active_s = view.now_s
        reserved = min(view.inside, self.limits.highest * CELERY_PREFETCH)
        most = min(reserved, self.limits.highest)
        if most > view.current:
            self.active_s = view.now_s
            return most
        least = max(reserved, self.limits.lowest)
        quiet = self.active_s is not None and view.now_s - self.active_s > CELERY_KEEPALIVE_S
        return least if least < view.current and quiet else view.current


@dataclass(slots=True)
class Keda:
    """KEDA with a target queue length per pod, and the HorizontalPodAutoscaler below it.

    Polled every 15 s, where KEDA's own default is 30 s. advised: the HPA's recommendations of the
    stabilization window, each with its second.
    """

    limits: ScalingLimits
    threshold: float
    every_s: int = HPA_SYNC_S
    advised: deque[tuple[int, int]] = field(default_factory=deque)
    active_s: int = 0

    @property
    def name(self) -> str:
        return f"KEDA, {self.threshold:g} a pod"

    def workers(self, view: View) -> int:
        if view.inside:
            self.active_s = view.now_s
        if view.current == 0:
            return 1 if view.inside else 0
        if self.limits.lowest == 0 and view.now_s - self.active_s >= KEDA_COOL_DOWN_S:
            self.advised.clear()
            return 0
        return self._hpa(view)

    def _hpa(self, view: View) -> int:
        ratio = view.inside / (self.threshold * view.current)
        even = abs(ratio - 1) <= HPA_TOLERANCE
        wanted = view.current if even else math.ceil(view.inside / self.threshold)
        wanted = min(max(wanted, self.limits.lowest, 1), self.limits.highest)
        self.advised.append((view.now_s, wanted))
        while self.advised[0][0] <= view.now_s - HPA_STABILIZATION_S:
            self.advised.popleft()
        if wanted < view.current:
            return min(view.current, max(advice for _, advice in self.advised))
        return min(wanted, max(2 * view.current, view.current + HPA_LEAST_STEP))
