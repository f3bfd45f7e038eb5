"""The batch budget that a runtime finds at warm-up."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import pytest

from ml.registry import ArtifactError, Artifacts
from ml.serving import token_budget
from ml.serving.cascade import Cascade
from ml.serving.loaded_tier import LoadedTier
from ml.serving.runtime import Runtime
from ml.serving.token_budget import End, Point, Sweep
from tests.ml.toys import Scripted, Toy, good, item


class Versioned(Toy):
    batch_tokens = 256
    batch_items = 8

    def __init__(self, known: Any = None) -> None:
        self._known = known

    @property
    def artifacts(self) -> Artifacts | None:
        return Artifacts(Path("toy/v1"), {"version": "v1", "batch_tokens": self._known or {}})


def warm(pipeline: Toy, device: str = "cpu") -> Runtime:
    tier = LoadedTier("linear", Scripted(good), math.inf)
    runtime = Runtime(pipeline, Cascade([tier]), 0, device)
    runtime.warm_up()
    return runtime


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A GPU by name alone; the names of pipelines that were calibrated on it."""
    asked: list[str] = []

    def calibrated(pipeline: Toy, *_: object) -> Sweep:
        asked.append(pipeline.name)
        return Sweep([Point(1_024, 29, 1.0), Point(2_048, 58, 2.0)], End.LARGEST)

    monkeypatch.setattr(
        token_budget, "device_name", {"cpu": "CPU 9", "cuda:0": "GPU 7"}.__getitem__
    )
    monkeypatch.setattr(token_budget, "calibrate", calibrated)
    return asked


def test_a_gpu_that_the_manifest_does_not_know_is_calibrated_at_warm_up(
    gpu: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    runtime = warm(Versioned(), "cuda:0")
    assert gpu == ["toy"]
    assert (runtime.batch_tokens, runtime.batch_items) == (2_048, 2_048 // 35)
    assert "on GPU 7: 2048 tokens, 58 items by calibration (1024: 1 tokens/s" in caplog.text


def test_a_device_that_the_manifest_knows_is_not_calibrated(gpu: list[str]) -> None:
    known = {"GPU 7": {"linear": 700}, "CPU 9": {"linear": 70}}
    assert warm(Versioned(known), "cuda:0").batch_tokens == 700
    assert warm(Versioned(known), "cpu").batch_tokens == 70
    assert gpu == []


def test_a_cpu_that_the_manifest_does_not_know_keeps_the_pipelines_own(gpu: list[str]) -> None:
    runtime = warm(Versioned({"CPU 9": {"another tier": 70}}), "cpu")
    assert (runtime.batch_tokens, runtime.batch_items) == (256, 8)
    assert gpu == []


def test_a_calibration_that_says_too_little_leaves_the_pipelines_own(
    gpu: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_budget, "calibrate", lambda *_: Sweep([], End.TIME))
    assert warm(Versioned(), "cuda:0").batch_tokens == 256


@pytest.mark.parametrize("wrong", [0, -1, "many", True, 8.5])
def test_a_budget_in_a_manifest_that_is_none_stops_the_start(gpu: list[str], wrong: Any) -> None:
    with pytest.raises(ArtifactError, match=r"'linear' on 'GPU 7' is .*a whole number of tokens"):
        warm(Versioned({"GPU 7": {"linear": wrong}}), "cuda:0")


def test_batches_are_packed_by_the_budget_that_was_found(gpu: list[str]) -> None:
    runtime = warm(Versioned({"CPU 9": {"linear": 10}}))
    prepared = runtime.prepare([item("12345")] * 4)
    assert list(prepared.costs()) == [[5, 5], [5, 5]]


def test_claims_grow_with_the_budget_within_bounds() -> None:
    assert token_budget.items_for(256, 32, least=64) == 64
    assert token_budget.items_for(8_192, 32, least=64) == 256
    assert token_budget.items_for(10**9, 32, least=64) == token_budget.MOST_ITEMS
    assert token_budget.items_for(8_192, 32, least=5_000) == 5_000
