"""Interleaved rounds: each starts every system afresh and measures it in every mode."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bench import modes
from bench.measure import Sample, measure, queued_bytes
from bench.modes import Load
from bench.systems import System, started

WARM_UP_S = 2.0


@dataclass
class Findings:
    """All measurements of one system.

    samples: by mode, one per round. idle_bytes, busy_bytes: memory by role, after the start and
    after the last mode of the first round.
    """

    samples: dict[str, list[Sample]] = field(default_factory=dict)
    idle_bytes: Mapping[str, int] = field(default_factory=dict)
    busy_bytes: Mapping[str, int] = field(default_factory=dict)
    queued_job_bytes: float | None = None


@dataclass(frozen=True)
class Plan:
    """queue_jobs: jobs queued to measure the memory of one; 0 skips that."""

    systems: Sequence[System]
    modes: Sequence[str]
    load: Load
    repeats: int
    queue_jobs: int


def carry_out(plan: Plan, say: Callable[[str], None]) -> dict[str, Findings]:
    """Measure everything; returns findings by system name.

    Raises:
        LedgerError, ClientError, FleetError: something went wrong; there is no partial result.
    """
    findings = {system.name: Findings() for system in plan.systems}
    for repeat in range(plan.repeats):
        for system in plan.systems:
            say(f"round {repeat + 1} of {plan.repeats}: {system.name}")
            _round(system, plan, findings[system.name], say)
    for system in plan.systems if plan.queue_jobs else ():
        say(f"memory of {plan.queue_jobs} queued jobs: {system.name}")
        bytes_each = queued_bytes(system, plan.queue_jobs, plan.load)
        findings[system.name].queued_job_bytes = bytes_each
    return findings


def _round(system: System, plan: Plan, found: Findings, say: Callable[[str], None]) -> None:
    with started(system) as running:
        idle = running.fleet.memory_bytes()
        modes.run(modes.wait, running.target, Load(seconds=WARM_UP_S))
        for mode in plan.modes:
            sample = measure(running, mode, plan.load)
            found.samples.setdefault(mode, []).append(sample)
            say(f"  {mode}: {sample.rate:,.0f}/s, others used {sample.others:.0%} of the CPU")
        if not found.idle_bytes:
            found.idle_bytes, found.busy_bytes = idle, running.fleet.memory_bytes()
