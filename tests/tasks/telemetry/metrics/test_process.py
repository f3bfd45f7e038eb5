"""Metrics of batches, as one process observes them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from prometheus_client import CollectorRegistry

from ml.pipeline import Item
from ml.serving import token_budget
from ml.serving.runtime import Runtime
from tasks.config.settings import Settings
from tasks.jobs.lanes import Lane
from tasks.telemetry.metrics.process import (
    BATCH_ITEMS,
    BATCH_TOKENS,
    BUDGET,
    PADDING,
    WORKER_METRICS,
    ProcessMetrics,
)
from tasks.worker import child, devices
from tests.pipelines import Echo


class Tight(Echo):
    """Characters are tokens: two short texts fill a batch."""

    batch_tokens = 8


def test_each_call_of_a_model_is_observed_with_items_tokens_and_padding() -> None:
    runtime = Runtime.load(Tight(), "cpu")
    texts = ["1234", "123", "1", "1234567890"]
    prepared = runtime.prepare([Item({"text": text}) for text in texts])
    assert sorted(prepared.costs()) == [[1], [4, 3], [10]]
    metrics = ProcessMetrics()
    metrics.batches("echo", "cpu", prepared)
    registry = CollectorRegistry()
    registry.register(metrics.collector(WORKER_METRICS))

    def shown(name: str, **le: str) -> float | None:
        return registry.get_sample_value(name, {"pipeline": "echo", "lane": "cpu", **le})

    for measure in (BATCH_ITEMS, BATCH_TOKENS, PADDING):
        assert shown(f"{measure.name}_count") == 3
    assert shown(f"{BATCH_ITEMS.name}_sum") == 4
    assert shown(f"{BATCH_TOKENS.name}_sum") == 1 + 2 * 4 + 10
    assert shown(f"{PADDING.name}_sum") == 1 / 8
    assert shown(f"{PADDING.name}_bucket", le="0.0") == 2


def test_a_worker_shows_the_batch_budget_that_its_device_has(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_budget, "known", lambda *_: 12_345)
    monkeypatch.setattr(devices, "threads", lambda _: torch.get_num_threads())
    metrics = ProcessMetrics()
    monkeypatch.setattr(child, "process_metrics", lambda: metrics)
    serves_null = replace(settings, pipelines=("ml.null:pipeline",), enable_null=False)
    runtimes = child.load_runtimes(serves_null, Lane.CPU, "cpu")
    assert runtimes["null"].batch_tokens == 12_345
    registry = CollectorRegistry()
    registry.register(metrics.collector(WORKER_METRICS))
    labels = {"pipeline": "null", "lane": "cpu"}
    assert registry.get_sample_value(BUDGET.name, labels) == 12_345
