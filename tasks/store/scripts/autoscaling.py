"""The script of tasks/lua/autoscaling and its arguments; the Lua file explains what they mean."""

from __future__ import annotations

from typing import NamedTuple, Never

from tasks.store.scripts.script import Script


class SaveDecisionArgs(NamedTuple):
    """Arguments of save_decision.lua."""

    lane: str
    previous_us: int
    memory: str | bytes
    desired: int
    settled: int
    drain_per_s: str


SAVE_DECISION = Script[SaveDecisionArgs, Never]("autoscaling/save_decision", SaveDecisionArgs)
