"""The transformer tier: the encoder in int8 on a CPU, in half precision on a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Self

import torch

from ml.quantization.int8_linear import load_int8
from ml.moderation.features import TextFeatures
from ml.moderation.models.tensors import pad, predictions
from ml.moderation.models.transformer import Encoder, EncoderConfig
from ml.pipeline import Features, Prediction, Tier
from ml.quantization.weights import restore
from ml.registry import Artifacts

_DTYPES: Final = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class TransformerTier(Tier):
    """The encoder with its calibration."""

    def __init__(
        self, model: Encoder, classes: Sequence[str], calibration: tuple[float, float], device: str
    ) -> None:
        self._model = model.eval().to(device)
        self._classes = tuple(classes)
        self._calibration = calibration
        self._device = device

    @classmethod
    def load(cls, artifacts: Artifacts | None, device: str) -> Self:
        if artifacts is None:
            raise ValueError("the transformer tier needs a model version")
        return cls.load_as(artifacts, device, "int8" if device == "cpu" else "fp16")

    @classmethod
    def load_as(cls, artifacts: Artifacts, device: str, precision: str) -> Self:
        """The tier in "fp32", "fp16", "bf16" or, on a CPU only, "int8"."""
        spec, classes = artifacts.manifest["tiers"]["transformer"], artifacts.manifest["classes"]
        model, packed = Encoder(EncoderConfig(**spec["config"])), artifacts.weights(spec["file"])
        if precision == "int8":
            load_int8(model, packed, keep=("head",))  # a row per class: too small to gain from int8
        else:
            model.load_state_dict(restore(packed))
            model.to(_DTYPES[precision])
        return cls(model, classes, tuple(spec["calibration"]), device)

    @torch.inference_mode()
    def predict(self, batch: Sequence[Features]) -> Sequence[Prediction]:
        ids, mask = pad([f.ids for f in batch if isinstance(f, TextFeatures)])
        logits = self._model(ids.to(self._device), mask.to(self._device))  # (B, C)
        return predictions(logits, self._calibration, self._classes)
