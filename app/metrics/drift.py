"""Prometheus metrics of drift, from the latest report on each version served here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from ml.pipeline import Pipeline
from tasks.drift.reports import read_report
from tasks.store.client import Store

_LABELS = ["pipeline", "model_version"]


def drift_metrics(store: Store, pipelines: Iterable[Pipeline]) -> Iterator[Metric]:
    """Two metric families; a pipeline without a report has no sample.

    Raises:
        redis.RedisError: Redis is out of reach.
    """
    alert = GaugeMetricFamily(
        "penstock_drift_alert", "1 while the latest report finds drift.", labels=_LABELS
    )
    effect = GaugeMetricFamily(
        "penstock_drift_effect",
        "How far a feature is from the reference: D of figures, w of classes.",
        labels=[*_LABELS, "feature"],
    )
    for pipeline in pipelines:
        if kept := read_report(store, pipeline):
            names = [pipeline.name, pipeline.version]
            alert.add_metric(names, float(kept.alarm))
            for found in kept.report["features"]:
                if found["effect"] is not None:
                    effect.add_metric([*names, found["name"]], found["effect"])
    yield alert
    yield effect
