"""Lanes and priorities: the names of the queues that units wait in."""

from __future__ import annotations

from enum import StrEnum


class Lane(StrEnum):
    """A queue with workers of its own: one per kind of device, and one for webhooks."""

    GPU = "gpu"
    CPU = "cpu"
    WEBHOOKS = "webhooks"


class Priority(StrEnum):
    """Priority of a job within its lane."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"
