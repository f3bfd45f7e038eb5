"""The pipeline without a model."""

from __future__ import annotations

from ml.null import pipeline
from ml.serving.runtime import Runtime
from tests.ml.toys import item


def test_null_allows_every_text_and_is_never_cached() -> None:
    runtime = Runtime.load(pipeline, "cpu")
    runtime.warm_up()
    outcomes = runtime.run(runtime.prepare([item("a"), item("b")])).outcomes
    assert [o.output for o in outcomes] == [
        {
            "label": "allow",
            "action": "allow",
            "confidence": 1.0,
            "scores": {"allow": 1.0},
            "tier": "null",
            "model_version": "builtin",
            "degraded": False,
            "reason": None,
        }
    ] * 2
    assert pipeline.cache_key(item("a")) is None
