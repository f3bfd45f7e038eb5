"""A text CNN over the transformer's tokens (Kim 2014): thousands of texts per second and core."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F  # noqa: N812 (the field's usual name)
from torch import Tensor, nn

from ml.quantization.int8_linear import load_int8
from ml.moderation.features import TextFeatures
from ml.moderation.models.tensors import pad, predictions
from ml.pipeline import Features, Prediction, Tier
from ml.quantization.weights import restore
from ml.registry import Artifacts


@dataclass(frozen=True, slots=True)
class CnnConfig:
    """Sizes of the CNN; `dropout` acts in training only."""

    vocab: int
    classes: int
    width: int = 128
    filters: int = 128
    spans: tuple[int, ...] = (2, 3, 4)  # tokens that a filter sees
    dropout: float = 0.3


class Cnn(nn.Module):
    """Token ids (B, T) and a mask (B, T), True where a token is, to logits (B, C).

    A convolution over S tokens is S linear maps, one a tap, summed with an offset each. All taps
    are one Linear here: 2.4 times as fast as nn.Conv1d on one core, and it can run in int8.
    """

    def __init__(self, config: CnnConfig) -> None:
        super().__init__()
        self.spans = config.spans
        self.filters = config.filters
        self.words = nn.Embedding(config.vocab, config.width)
        self.taps = nn.Linear(config.width, config.filters * sum(config.spans), bias=False)
        self.bias = nn.Parameter(torch.zeros(len(config.spans), config.filters))
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.width + config.filters * len(config.spans), config.classes)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        keep = mask.unsqueeze(-1)  # (B, T, 1)
        x = self.dropout(self.words(ids)) * keep  # (B, T, D)
        mean = x.sum(1) / keep.sum(1)  # (B, D)
        logits: Tensor = self.head(self.dropout(torch.cat([mean, *self.peaks(x)], 1)))
        return logits

    def peaks(self, x: Tensor) -> list[Tensor]:
        """The maximum of each filter over all windows, (B, filters) per span, for x (B, T, D).

        A window of padding alone gives 0 before the bias. It counts for every text, so that a
        text's maxima do not depend on how far its batch pads it: hence `clamp_min`.
        """
        b, t, _ = x.shape
        taps = self.taps(x).view(b, t, sum(self.spans), self.filters)
        found, first = [], 0
        for bias, span in zip(self.bias, self.spans, strict=True):
            windows = taps.new_zeros(b, t + span - 1, self.filters)
            for tap in range(span):
                start = span - 1 - tap
                windows[:, start : start + t] += taps[:, :, first + tap]
            found.append(F.relu(windows.amax(1).clamp_min(0) + bias))
            first += span
        return found


class CnnTier(Tier):
    """The CNN with its calibration: int8 on a CPU, float32 on a GPU."""

    def __init__(
        self, model: Cnn, classes: Sequence[str], calibration: tuple[float, float], device: str
    ) -> None:
        self._model = model.eval().to(device)
        self._classes = tuple(classes)
        self._calibration = calibration
        self._device = device

    @classmethod
    def load(cls, artifacts: Artifacts | None, device: str) -> Self:
        if artifacts is None:
            raise ValueError("the cnn tier needs a model version")
        return cls.load_as(artifacts, device, "int8" if device == "cpu" else "fp32")

    @classmethod
    def load_as(cls, artifacts: Artifacts, device: str, precision: str) -> Self:
        """The tier in "fp32" or, on a CPU only, "int8"."""
        spec, classes = artifacts.manifest["tiers"]["cnn"], artifacts.manifest["classes"]
        sizes = {**spec["config"], "spans": tuple(spec["config"]["spans"])}
        model, packed = Cnn(CnnConfig(**sizes)), artifacts.weights(spec["file"])
        if precision == "int8":
            load_int8(model, packed, keep=("head",))  # a row per class: too small to gain from int8
        else:
            model.load_state_dict(restore(packed))
        return cls(model, classes, tuple(spec["calibration"]), device)

    @torch.inference_mode()
    def predict(self, batch: Sequence[Features]) -> Sequence[Prediction]:
        ids, mask = pad([f.ids for f in batch if isinstance(f, TextFeatures)])
        logits = self._model(ids.to(self._device), mask.to(self._device))
        return predictions(logits, self._calibration, self._classes)
