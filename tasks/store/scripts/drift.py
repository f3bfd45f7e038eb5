"""The scripts of tasks/lua/drift and their arguments; each Lua file explains what they mean."""

from __future__ import annotations

from typing import NamedTuple, Never

from tasks.store.scripts.script import Script


class AddSamplesArgs(NamedTuple):
    """Arguments of add_samples.lua."""

    pipeline: str
    model_version: str
    interval_ms: int
    most_rows: int


class SampledRow(NamedTuple):
    """A row as add_samples.lua takes it."""

    draw: str
    row: bytes


class SaveReportArgs(NamedTuple):
    """Arguments of save_report.lua."""

    pipeline: str
    model_version: str
    report: bytes
    alarm: str
    event_body: bytes
    event_id: str
    report_ttl_ms: int
    window: int | str


ADD_SAMPLES = Script[AddSamplesArgs, SampledRow]("drift/add_samples", AddSamplesArgs, SampledRow)
SAVE_REPORT = Script[SaveReportArgs, Never]("drift/save_report", SaveReportArgs)
