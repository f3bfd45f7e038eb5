"""Lanes and priorities: the names of the queues that units wait in."""

from __future__ import annotations

from enum import StrEnum


class Lane(StrEnum):
    GPU = "gpu"
    CPU = "cpu"
    WEBHOOKS = "webhooks"


class Priority(StrEnum):
    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"
