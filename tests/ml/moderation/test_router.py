"""The router: what it says of odd texts, what it refuses to read, and the shipped thresholds."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.moderation.pipeline import Moderation, pipeline
from ml.moderation.router import FIGURES, LONGEST, ROUTING, Router, doubt, figures, words
from ml.pipeline import Item, Prediction
from ml.registry import ArtifactError, Artifacts
from ml.training.release import file_entry

SHIPPED = pipeline.artifacts
ODD = ["", " ", "\ud800", "\u200d", "\x00", "\U0001f602" * 3_000, "x" * 5_000, "A" * 5_000, "?!#@"]

router = Router.read(SHIPPED)


COMPLEXITY = {"bias": 0.0, "figures": dict.fromkeys(FIGURES, 0.0), "terms": {}}


def broken(folder: Path, complexity: dict[str, Any] | None) -> Artifacts:
    """A version with a router of its own, which its manifest vouches for."""
    path = folder / ROUTING
    path.write_text(json.dumps({"complexity": complexity}))
    return Artifacts(folder, {**SHIPPED.manifest, "files": {ROUTING: file_entry(path)}})


@given(st.text() | st.sampled_from(ODD))
def test_complexity_of_any_text_is_a_probability(text: str) -> None:
    assert 0 <= router.complexity(text) <= 1


@given(st.text() | st.sampled_from(ODD), st.floats(0, 1), st.floats(0, 1))
def test_doubt_of_any_answer_is_finite_and_not_negative(
    text: str, confidence: float, tilt: float
) -> None:
    found = doubt(text, confidence, tilt)
    assert found >= 0
    assert math.isfinite(found)


@given(st.text())
def test_there_is_a_finite_figure_per_name(text: str) -> None:
    found = figures(text)
    assert len(found) == len(FIGURES)
    assert all(map(math.isfinite, found))


def test_what_comes_after_the_longest_prefix_is_not_read() -> None:
    text = "word " * LONGEST
    assert router.complexity(text) == router.complexity(text[:LONGEST])
    assert words(" " * LONGEST + "word") == set()


def test_the_surer_the_cnn_the_less_the_doubt() -> None:
    found = [doubt("some text", confidence, 0.25) for confidence in (0.4, 0.7, 0.99)]
    assert found == sorted(found, reverse=True)


def test_length_excuses_doubt_by_as_much_as_the_tilt_says() -> None:
    short, long = "x" * 10, "x" * 40
    assert doubt(short, 0.8, 0.0) == doubt(long, 0.8, 0.0) == pytest.approx(0.25)
    assert doubt(short, 0.8, 0.5) == pytest.approx(2 * doubt(long, 0.8, 0.5))


def test_the_pipeline_is_sure_of_what_is_less_doubtful_than_the_threshold() -> None:
    item = Item({"text": "have a great day everyone"})
    sure = Prediction({"allow": 0.99, "review": 0.005, "block": 0.005})
    torn = Prediction({"allow": 0.34, "review": 0.33, "block": 0.33})
    assert pipeline.sure(item, sure)
    assert not pipeline.sure(item, torn)


def test_plain_texts_go_to_the_cpu_lane_by_the_shipped_threshold() -> None:
    assert pipeline.cpu_below == SHIPPED.manifest["routing"]["thresholds"]["cpu_below"]
    assert pipeline.complexity(Item(pipeline.example)) < pipeline.cpu_below


def test_a_version_without_a_router_sends_everything_to_the_gpu_lane() -> None:
    bare = {key: value for key, value in SHIPPED.manifest.items() if key != "routing"}
    line = Moderation(replace(SHIPPED, manifest=bare))
    assert not line.complexity(Item(line.example)) < line.cpu_below
    assert "routing" not in line.describe()


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"bias": None},
        {"figures": {}},
        {"figures": dict.fromkeys(FIGURES, "much")},
        {"terms": 7},
        {"terms": {"word": [1.0]}},
    ],
)
def test_a_file_that_is_no_router_is_refused_by_name(tmp_path: Path, parts: dict[str, Any]) -> None:
    with pytest.raises(ArtifactError, match=rf"{ROUTING} is no router"):
        Router.read(broken(tmp_path, {**COMPLEXITY, **parts} if parts else None))


def test_a_changed_file_is_refused_by_name(tmp_path: Path) -> None:
    artifacts = broken(tmp_path, COMPLEXITY)
    assert Router.read(artifacts).complexity("") == 0.5
    (tmp_path / ROUTING).write_text("{}")
    with pytest.raises(ArtifactError, match=ROUTING):
        Router.read(artifacts)


def test_thresholds_of_another_name_are_refused(tmp_path: Path) -> None:
    artifacts = broken(tmp_path, COMPLEXITY)
    manifest = {**artifacts.manifest, "routing": {"thresholds": {"cpu_below": 0.5}}}
    with pytest.raises(ArtifactError, match=ROUTING):
        Router.read(replace(artifacts, manifest=manifest))


def test_the_shipped_thresholds_are_the_first_of_the_curve_that_reach_the_aims() -> None:
    said = SHIPPED.manifest["routing"]
    points = json.loads(SHIPPED.file(ROUTING).read_text())["curve"]["dev"]
    chosen = said["dev"]["balanced"]
    assert chosen in points
    assert chosen["sure_below"] == said["thresholds"]["sure_below"]
    reaching = [
        point
        for point in points
        if point["on_cpu"] >= said["aims"]["on_cpu"]
        and point["gpu_tokens"] <= said["aims"]["gpu_tokens"]
    ]
    assert reaching[0] == chosen


@pytest.mark.parametrize("split", ["dev", "test"])
def test_the_shipped_mixture_was_measured_within_its_budget(split: str) -> None:
    """The figures as `python -m ml.training.routing` left them."""
    said = SHIPPED.manifest["routing"]
    quality, balanced = said[split]["quality"], said[split]["balanced"]
    for name in ("mean_source_f1", "macro_f1"):
        assert quality[name] - balanced[name] <= said["budget"] == 0.005
    assert balanced["on_cpu"] >= 0.6
    assert balanced["gpu_s"] <= 0.4 * quality["gpu_s"]


def test_routing_imports_neither_torch_nor_numpy() -> None:
    program = """
import sys
from ml.moderation.pipeline import pipeline
from ml.pipeline import Item
assert 0 <= pipeline.complexity(Item(pipeline.example)) <= 1
assert not {"torch", "numpy", "scipy", "tokenizers"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
