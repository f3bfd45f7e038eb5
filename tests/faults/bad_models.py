"""Pipelines whose texts say what is to go wrong; any other text is answered with its length."""

from __future__ import annotations

import ctypes
import math
import os
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

from ml.pipeline import Features, Item, Prediction, Tier, TierRef
from ml.registry import Artifacts
from tests.pipelines import Echo
from tests.soak.pipelines import Text

FITS = 8  # members of a batch that the simulated device has memory for


class OutOfMemoryError(RuntimeError):
    """Named as torch's own is."""


class Obeying(Tier):
    """Does what its texts say: a word, and for some the path of a file that must exist."""

    @classmethod
    def load(cls, artifacts: Artifacts | None, device: str) -> Self:
        return cls()

    def predict(self, batch: Sequence[Features]) -> Sequence[Prediction]:
        texts = [member.text for member in batch if isinstance(member, Text)]
        for text in texts:
            _obey(text, len(batch))
        results = [
            Prediction({"length": math.nan if text.startswith("nan") else len(text)})
            for text in texts
        ]
        return results[1:] if any(text.startswith("short") for text in texts) else results


class Lone(Echo):
    """One tier without a time limit, in large batches."""

    name = "lone"
    tiers: tuple[TierRef, ...] = (
        TierRef("obeying", "tests.faults.bad_models:Obeying", timeout_s=math.inf),
    )
    batch_items = 64
    example: ClassVar = {"text": "an example"}

    def features(self, items: Sequence[Item]) -> Sequence[Features]:
        return [Text(item.input["text"]) for item in items]

    def cache_key(self, item: Item) -> str | None:
        return None


class Pair(Lone):
    """The same with a time limit, and a tier below it that always answers."""

    name = "pair"
    tiers = (
        TierRef("primary", "tests.faults.bad_models:Obeying", timeout_s=1.0),
        TierRef("fallback", "tests.pipelines:SizeTier", timeout_s=math.inf),
    )


def _obey(text: str, members: int) -> None:
    word, _, path = text.partition(" ")
    if word == "raise":
        raise ValueError("told to")
    if word == "sulk" and Path(path.split()[0]).exists():
        raise RuntimeError("out of order")
    if word == "oom" and members > FITS:
        raise OutOfMemoryError("CUDA out of memory (simulated)")
    if word == "assert" and Path(path.split()[0]).exists():
        Path(path.split()[0]).unlink()
        _device_side_assert()
    if word == "segv":
        os.kill(os.getpid(), signal.SIGSEGV)
    if word == "hang":
        threading.Event().wait()
    if word == "hold":  # sleeps for ever in C code that keeps the GIL
        ctypes.PyDLL(None).sleep(10**9)


def _device_side_assert() -> None:
    import torch  # noqa: PLC0415 - the API imports this module and must not load it

    raise torch.AcceleratorError("CUDA error: device-side assert triggered (simulated)")


lone = Lone()
pair = Pair()
