"""One feature module for training and serving."""

from __future__ import annotations

import random
import unicodedata
from pathlib import Path

import pytest

from ml.moderation import features as module
from ml.moderation.features import MAX_TOKENS, Featuriser
from ml.moderation.pipeline import pipeline
from ml.moderation.tokenizer import WordPiece
from ml.pipeline import Item, Options
from ml.registry import ArtifactError
from ml.serving.runtime import Runtime
from ml.text import clean
from ml.training.config import Config, PolicySpec
from ml.training.data.rows import Columns
from ml.training.fitting.loop import Schedule
from ml.training.stages import Stages


def odd_texts(count: int) -> list[str]:
    """Words, emoji, entities, controls and characters of every plane, from a fixed seed."""
    generator = random.Random(1)  # noqa: S311 (no secret)
    parts = [
        "word",
        "&amp;",
        "&#128514;",
        "@me",
        "http://x.y",
        "\U0001f468\u200d\U0001f469",
        "\x00",
    ]
    singles = [chr(generator.randrange(1, 0xD800)) for _ in range(500)]
    singles += [chr(generator.randrange(0xE000, 0x11_0000)) for _ in range(500)]
    pool = parts * 60 + singles
    return [
        "".join(generator.choices(pool, k=generator.randrange(1, 40))) + f" n{n}"
        for n in range(count)
    ]


def test_training_and_serving_compute_bit_equal_features_on_10000_odd_texts(
    tmp_path: Path,
) -> None:
    texts = odd_texts(10_000)
    rows = tmp_path / "rows.csv"
    quoted = "\n".join('"' + t.replace('"', '""') + '",a' for t in texts)
    rows.write_text("text,label\n" + quoted + "\n", encoding="utf-8", newline="")
    artifacts = pipeline.artifacts
    config = Config(
        pipeline="toy",
        classes=("a", "b"),
        seed=1,
        train=rows,
        dev=rows,
        test=rows,
        columns=Columns("text", "label", ""),
        policy=PolicySpec({"b": 0.5}, "a"),
        cnn=Schedule(1),
        tokenizer=artifacts.file("tokenizer.json"),
    )
    training = Stages(config, tmp_path, "cpu")
    training.vocabulary = (artifacts.file("tokenizer.json").read_text(encoding="utf-8"), [])
    served = pipeline.features([Item({"text": t}, Options(max_tokens=MAX_TOKENS)) for t in texts])
    learned = training.train
    assert learned.split.texts == texts
    assert len(served) == 10_000
    for row, features in enumerate(served):
        assert isinstance(features, module.TextFeatures)
        assert features.text == learned.plain[row]
        assert features.ids == learned.ids[row]


def test_features_are_the_same_in_every_normal_form_and_of_the_cleaned_text(
    featuriser: Featuriser,
) -> None:
    texts = [*odd_texts(2_000), *module._PROBES]
    limits = [MAX_TOKENS] * len(texts)
    expected = featuriser(texts, limits)
    assert featuriser([clean(text) for text in texts], limits) == expected
    for form in ("NFC", "NFD"):
        assert featuriser([unicodedata.normalize(form, text) for text in texts], limits) == expected


def test_max_tokens_truncates_and_keeps_the_last_separator(featuriser: Featuriser) -> None:
    (short,) = featuriser(["one two three four five six seven"], [5])
    (whole,) = featuriser(["one two three four five six seven"], [256])
    assert short.cost == 5
    assert short.ids[:4] == whole.ids[:4]
    assert short.ids[-1] == whole.ids[-1]


@pytest.mark.parametrize(("asked", "given"), [(1, 3), (3, 3), (256, 256), (100_000, 256)])
def test_limits_stay_within_what_the_models_can_read(
    featuriser: Featuriser, asked: int, given: int
) -> None:
    assert featuriser(["word " * 600], [asked])[0].cost == given


def test_the_fingerprint_is_that_of_the_committed_version(featuriser: Featuriser) -> None:
    assert featuriser.fingerprint() == pipeline.artifacts.fingerprint


def test_a_change_in_behaviour_changes_the_fingerprint(
    featuriser: Featuriser, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = featuriser.fingerprint()
    monkeypatch.setattr(module, "normalise", lambda text: f"x{len(text)}")
    assert featuriser.fingerprint() != before


def test_a_worker_refuses_a_version_with_other_features(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "normalise", lambda text: f"x{len(text)}")
    with pytest.raises(ArtifactError) as raised:
        Runtime.load(pipeline, "cpu")
    assert pipeline.artifacts.fingerprint in str(raised.value)
    assert pipeline.fingerprint() in str(raised.value)


def test_a_tokenizer_without_special_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[UNK\] is missing"):
        WordPiece('{"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}}')
