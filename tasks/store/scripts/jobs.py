"""The scripts of tasks/lua/jobs and their arguments; each Lua file explains what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Never

from tasks.store.scripts.script import Script


class SubmitArgs(NamedTuple):
    """Arguments of submit.lua."""

    job: str
    asked_lane: str
    spec: bytes
    total: int
    deadline_ms: int
    batch_items: int
    body_digest: str
    idempotency_ttl_ms: int
    result_ttl_ms: int
    first_unit: int
    most_lane_units: int
    cpu_may_serve: int
    priority: str
    lease_ms: int
    breaker_name: str
    most_lane_bytes: int
    headroom_percent: int
    answer_bytes: int
    owner: str
    most_unfinished: int
    hook: str
    staged: int


class SubmitUnit(NamedTuple):
    """A unit as submit.lua takes it."""

    items: int
    payload_bytes: int
    payload: bytes


class StageArgs(NamedTuple):
    """Arguments of stage.lua."""

    job: str
    patience_ms: int
    headroom_percent: int
    most_bytes: int


class StagedUnit(NamedTuple):
    """A unit as stage.lua takes it."""

    number: int
    payload: bytes


class DiscardArgs(NamedTuple):
    """Arguments of discard.lua."""

    job: str


class CancelArgs(NamedTuple):
    """Arguments of cancel.lua."""

    job: str
    result_ttl_ms: int


class ReadJobsArgs(NamedTuple):
    """Arguments of read.lua, before the names of the fields and the ids of the jobs."""

    field_count: int


class ListJobsArgs(NamedTuple):
    """Arguments of list.lua, before the names of the fields."""

    newest: str
    oldest: str
    most_jobs: int
    most_examined: int
    status: str


SUBMIT = Script[SubmitArgs, SubmitUnit]("jobs/submit", SubmitArgs, SubmitUnit)
STAGE = Script[StageArgs, StagedUnit]("jobs/stage", StageArgs, StagedUnit)
DISCARD = Script[DiscardArgs, Never]("jobs/discard", DiscardArgs)
CANCEL = Script[CancelArgs, Never]("jobs/cancel", CancelArgs)
READ_JOBS = Script[ReadJobsArgs, Sequence[str]]("jobs/read", ReadJobsArgs)
LIST_JOBS = Script[ListJobsArgs, Sequence[str]]("jobs/list", ListJobsArgs)
