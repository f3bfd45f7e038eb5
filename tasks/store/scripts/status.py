"""The script of tasks/lua/status; it takes nothing but a list of lanes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tasks.store.scripts.script import Script


class OldestWaitingArgs(NamedTuple):
    """oldest_waiting.lua has no arguments before the names of the lanes."""


OLDEST_WAITING = Script[OldestWaitingArgs, Sequence[str]](
    "status/oldest_waiting", OldestWaitingArgs
)
