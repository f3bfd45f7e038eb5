"""Renders findings as one table, for a terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.measure import Sample
from bench.rounds import Findings

TITLES = {
    "wait": "single, `Prefer: wait`",
    "poll": "single, then poll",
    "drain": "single: submit all, then read all",
    "bulk": "bulk, 100-1,000 inputs a job",
}


@dataclass(frozen=True)
class Row:
    """cells: one per system. ratio: how much better the first system is than the second."""

    what: str
    cells: Sequence[str]
    ratio: str = ""


def table(findings: Mapping[str, Findings]) -> list[Row]:
    """Rows of medians over the rounds, with the spread (lowest-highest) of rates."""
    rows: list[Row] = []
    every = list(findings.values())
    for mode in every[0].samples:
        rows += _mode_rows(mode, every)
    rows += _memory_rows(every)
    return rows


def as_text(rows: Sequence[Row], names: Sequence[str]) -> str:
    lines = [["", *names, "ratio"], *([row.what, *row.cells, row.ratio] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in pairs).rstrip()
        for line in lines
        for pairs in [list(enumerate(zip(line, widths, strict=True)))]
    )


def as_markdown(rows: Sequence[Row], names: Sequence[str]) -> str:
    lines = [f"| | {' | '.join(names)} | ratio |", "|---" + "|---:" * (len(names) + 1) + "|"]
    lines += [f"| {row.what} | {' | '.join(row.cells)} | {row.ratio} |" for row in rows]
    return "\n".join(lines)


def _mode_rows(mode: str, every: Sequence[Findings]) -> list[Row]:
    unit = "items" if mode == "bulk" else "jobs"
    runs = [found.samples[mode] for found in every]
    title = TITLES[mode]
    rows = [_row(f"{title}: {unit}/s", runs, lambda s: s.rate, spread=True, more=True)]
    if mode == "drain":
        name = "single: submit all, until all have ended: jobs/s"
        rows = [_row(name, runs, lambda s: s.completed_rate or 0.0, spread=True, more=True), *rows]
        rows.append(_row(f"{title}: accepted/s", runs, lambda s: s.submit_rate or 0.0, more=True))
    else:
        rows.append(_row(f"{title}: p50 ms", runs, lambda s: s.p50_ms or 0.0))
        rows.append(_row(f"{title}: p99 ms", runs, lambda s: s.p99_ms or 0.0))
    rows.append(_row(f"{title}: CPU us/{unit[:-1]}", runs, lambda s: s.total_cpu_us))
    return rows


def _row(
    what: str,
    runs: Sequence[Sequence[Sample]],
    value: Callable[[Sample], float],
    *,
    spread: bool = False,
    more: bool = False,
) -> Row:
    """more: whether more is better."""
    values = [[value(sample) for sample in samples] for samples in runs]
    cells = [
        number(median(v)) + (f" ({number(min(v))}-{number(max(v))})" if spread else "")
        for v in values
    ]
    return Row(what, cells, _ratio([median(v) for v in values], more=more))


def _memory_rows(every: Sequence[Findings]) -> list[Row]:
    rows = []
    idle = [sum(found.idle_bytes.values()) / 2**20 for found in every]
    busy = [sum(found.busy_bytes.values()) / 2**20 for found in every]
    rows.append(Row("memory of all processes, idle: MiB", [number(v) for v in idle], _ratio(idle)))
    rows.append(Row("memory of all processes, busy: MiB", [number(v) for v in busy], _ratio(busy)))
    queued = [found.queued_job_bytes for found in every]
    known = [value for value in queued if value is not None]
    if known:
        rows.append(Row("Redis bytes per queued job", [number(v) for v in known], _ratio(known)))
    return rows


def _ratio(values: Sequence[float], *, more: bool = False) -> str:
    if len(values) != 2 or 0 in values:
        return ""
    first, second = values if more else reversed(values)
    return f"{first / second:.2f}x" if first / second < 10 else f"{first / second:.1f}x"


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def costs(findings: Mapping[str, Findings]) -> str:
    """CPU by process, of the load generator, and of other processes on the machine."""
    lines = []
    for name, found in findings.items():
        for mode, samples in found.samples.items():
            roles = samples[0].cpu_us
            parts = [f"{r} {median(s.cpu_us[r] for s in samples):,.0f}" for r in roles]
            generator = median(s.generator_us for s in samples)
            others = max(s.others for s in samples)
            lines.append(
                f"{name}, {mode}: CPU us/item {', '.join(parts)}; "
                f"load generator {generator:,.0f} us/request; others {others:.1%} of the CPU"
            )
    return "\n".join(lines)
