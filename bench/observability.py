"""`python -m bench.observability`: measures the throughput cost of observability.

The null pipeline with every observability setting on, and the same with all of them off, in
alternating turns of one run: Flower's events and Flower itself, a log line per job, the workers'
metrics, spans and errors sent to a sink on this machine, samples for drift. What no setting can
switch off (the counts in Redis and in shared memory) is in both.
"""

from __future__ import annotations

import argparse
import json
import secrets
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from bench import machine, report
from bench.client import ClientError
from bench.fleet import ROOT, FleetError, free_port
from bench.measure import Sample, measure
from bench.modes import MODES, Load, run
from bench.rounds import Findings
from bench.systems import System, penstock, started
from bench.traffic import LedgerError

WARM_UP_S = 3.0
DRAIN_JOBS_PER_S = 800  # of a turn's seconds: about what drains in so long
ON, OFF = "all on", "all off"
QUIET = 0.1  # share of the CPU that other processes may use in a quiet turn


def main(argv: Sequence[str]) -> int:
    options = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `finally` stops everything
    begun = datetime.now(UTC)
    systems = [observed(options.fsync, flower=not options.no_flower), unobserved(options.fsync)]
    try:
        findings = take_turns(systems, options.modes, Load(seconds=options.seconds), options.turns)
    except (LedgerError, ClientError, FleetError) as error:
        print(f"The benchmark failed, nothing counts: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    rows = report.table(findings)
    print(report.as_text(rows, list(findings)), report.costs(findings), sep="\n\n")
    print("", *_verdicts(findings), sep="\n")
    path = ROOT / "var" / "bench" / f"observability-{begun:%Y-%m-%dT%H-%M-%SZ}.json"
    _write(path, findings)
    print(f"\nwritten: {path}")
    return 0


def take_turns(
    systems: Sequence[System], modes: Sequence[str], load: Load, turns: int
) -> dict[str, Findings]:
    """Measure all systems, which run side by side, in turns too short for the machine to change.

    Raises:
        LedgerError, ClientError, FleetError: something went wrong; there is no partial result.
    """
    load = replace(load, drain_jobs=round(DRAIN_JOBS_PER_S * load.seconds))
    with ExitStack() as stack:
        running = {system.name: stack.enter_context(started(system)) for system in systems}
        findings = {
            name: Findings(idle_bytes=one.fleet.memory_bytes()) for name, one in running.items()
        }
        for one in running.values():
            run(MODES["wait"], one.target, Load(seconds=WARM_UP_S))
        for turn, mode in ((turn, mode) for turn in range(turns) for mode in modes):
            for name in sorted(running, reverse=bool(turn % 2)):  # no system is always the first
                sample = measure(running[name], mode, load)
                findings[name].samples.setdefault(mode, []).append(sample)
                said = f"{mode}: {sample.rate:,.0f}/s, others used {sample.others:.0%} of the CPU"
                print(f"turn {turn + 1} of {turns}, {name}, {said}", file=sys.stderr)
        for name, one in running.items():
            findings[name].busy_bytes = one.fleet.memory_bytes()
        return findings


def observed(fsync: str, *, flower: bool = True) -> System:
    """Penstock with everything on, and the receivers of what it sends."""
    sink = free_port()
    address = f"127.0.0.1:{sink}"
    env = {
        "SENTRY_DSN": f"http://key@{address}/1",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{address}",
        "PENSTOCK_FLOWER_JOBS_PER_S": "200",
        "LOG_JOBS": "1",
        "PENSTOCK_DRIFT_SAMPLES": "2000",
        "PENSTOCK_METRICS_PORT": str(free_port()),
        "FLOWER_PORT": str(free_port()),
        "FLOWER_USER": "bench",
        "FLOWER_PASSWORD": secrets.token_hex(16),
    }
    also: dict[str, tuple[str, ...]] = {"sink": (sys.executable, "-m", "bench.sink", str(sink))}
    if flower:
        also["flower"] = (sys.executable, "-m", "tasks.telemetry.flower")
    return _with(penstock(fsync, ON), env, also)


def unobserved(fsync: str) -> System:
    env = {
        "SENTRY_DSN": "",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "",
        "PENSTOCK_FLOWER_JOBS_PER_S": "0",
        "LOG_JOBS": "0",
        "PENSTOCK_DRIFT_SAMPLES": "0",
        "PENSTOCK_METRICS_PORT": "0",
    }
    return _with(penstock(fsync, OFF), env, {})


def _with(system: System, env: Mapping[str, str], also: Mapping[str, tuple[str, ...]]) -> System:
    return replace(system, env={**system.env, **env}, workers={**also, **system.workers})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m bench.observability", description=__doc__)
    add = parser.add_argument
    add("--modes", type=_modes, default=["wait", "drain"], help="comma-separated: wait, drain, ...")
    add("--turns", type=int, default=15, help="of each system in each mode (default 15)")
    add("--seconds", type=float, default=3.0, help="of a turn (default 3)")
    add("--fsync", choices=["always", "everysec"], default="always", help="Redis's appendfsync")
    add("--no-flower", action="store_true", help="its events, but not Flower, which needs a core")
    return parser


def _modes(text: str) -> list[str]:
    chosen = text.split(",")
    if unknown := [mode for mode in chosen if mode not in MODES]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: choose from {', '.join(MODES)}")
    return chosen


def _verdicts(findings: Mapping[str, Findings]) -> list[str]:
    """A line per mode: the medians of the rates, and the median ratio of adjacent turns."""
    return [
        _verdict(mode, findings[ON].samples[mode], findings[OFF].samples[mode])
        for mode in findings[ON].samples
    ]


def _verdict(mode: str, ours: Sequence[Sample], bare: Sequence[Sample]) -> str:
    pairs = list(zip(ours, bare, strict=True))
    quiet = [pair for pair in pairs if max(sample.others for sample in pair) <= QUIET]
    counted = quiet or pairs
    ratio = median(_rate(on) / _rate(off) for on, off in counted)
    on, off = (median(map(_rate, side)) for side in zip(*counted, strict=True))
    return (
        f"{mode}: {on:,.0f}/s with all on, {off:,.0f}/s with all off: ratio {ratio:.3f}, "
        f"observability costs {1 - ratio:.1%} of throughput "
        f"({len(quiet)} of {len(pairs)} turns were quiet{'' if quiet else ': all count'})"
    )


def _rate(sample: Sample) -> float:
    """Jobs per second until all had ended, whether or not they were then read."""
    return sample.completed_rate or sample.rate


def _write(path: Path, findings: Mapping[str, Findings]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    found = {name: asdict(one) for name, one in findings.items()}
    document = {"machine": machine.describe(), "findings": found}
    path.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
