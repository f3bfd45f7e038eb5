"""`python -m bench`: measures Penstock and Flask + Celery, same machine and load generator."""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import machine, report
from bench.client import ClientError
from bench.fleet import ROOT, FleetError
from bench.modes import MODES, Load
from bench.rounds import Findings, Plan, carry_out
from bench.systems import System, baseline_variants, flask_celery, flower_variants, penstock
from bench.traffic import LedgerError

QUICK = Load(seconds=2.0, drain_jobs=2_000)


def main(argv: Sequence[str]) -> int:
    options = _parser().parse_args(argv)
    # A stopped benchmark must stop the processes it started: `finally` runs on SystemExit only.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    plan = _plan(options)
    begun = datetime.now(UTC)
    try:
        findings = carry_out(plan, lambda line: print(line, file=sys.stderr))
    except (LedgerError, ClientError, FleetError) as error:
        print(f"The benchmark failed, nothing counts: {error}", file=sys.stderr)
        print(*getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    _show(findings)
    path = options.json or ROOT / "var" / "bench" / f"{begun:%Y-%m-%dT%H-%M-%SZ}.json"
    _write(path, {"begun": begun.isoformat(), **_document(plan, findings, argv)})
    print(f"\nwritten: {path}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m bench", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="short, one round: a check, not a result")
    add("--modes", type=_modes, default=list(MODES), help="comma-separated: " + ", ".join(MODES))
    add("--repeats", type=int, default=None, help="rounds (default 3, quick 1)")
    add("--fsync", choices=["always", "everysec"], default="always", help="Redis's appendfsync")
    add("--compare-fsync", action="store_true", help="Penstock alone, always beside everysec")
    add("--compare-flower", action="store_true", help="Penstock alone, with and without events")
    add("--tune-baseline", action="store_true", help="the baseline's worker settings side by side")
    add("--json", type=Path, default=None, help="result file (default var/bench/<time>.json)")
    return parser


def _modes(text: str) -> list[str]:
    chosen = text.split(",")
    if unknown := [mode for mode in chosen if mode not in MODES]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: choose from {', '.join(MODES)}")
    return chosen


def _plan(options: argparse.Namespace) -> Plan:
    systems: list[System]
    if options.compare_fsync:
        systems = [penstock("always"), penstock("everysec", "penstock, fsync everysec")]
    elif options.compare_flower:
        systems = flower_variants(options.fsync)
    elif options.tune_baseline:
        systems = baseline_variants(options.fsync)
    else:
        systems = [penstock(options.fsync), flask_celery(options.fsync)]
    sole_question = options.compare_fsync or options.compare_flower or options.tune_baseline
    return Plan(
        systems=systems,
        modes=options.modes,
        load=QUICK if options.quick else Load(),
        repeats=options.repeats or (1 if options.quick else 3),
        queue_jobs=0 if sole_question else (2_000 if options.quick else 20_000),
    )


def _show(findings: Mapping[str, Findings]) -> None:
    rows, names = report.table(findings), list(findings)
    print(report.as_text(rows, names), report.costs(findings), sep="\n\n")
    print("\nMarkdown:\n", report.as_markdown(rows, names), sep="\n")


def _document(plan: Plan, findings: Mapping[str, Findings], argv: Sequence[str]) -> dict[str, Any]:
    return {
        "command": shlex.join(["python", "-m", "bench", *argv]),
        "machine": machine.describe(),
        "plan": asdict(plan),
        "findings": {name: asdict(found) for name, found in findings.items()},
    }


def _write(path: Path, document: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
