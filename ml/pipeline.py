"""The pipeline contract: the classes that a model implements to be served.

A pipeline is declared in a torch-free module, because the API reads the declaration (schema, cache
key, tiers, card) and never imports torch. The models themselves are named by `TierRef.target` and
imported by workers only:

    class Sentiment(Pipeline):
        name = "sentiment"
        input_schema = TextInput
        tiers = (TierRef("linear", "sentiment_model:Linear"),)

    pipeline = Sentiment()

`PENSTOCK_PIPELINES=sentiment:pipeline` serves it. `ml.serving.runtime.Runtime` runs it:

    features -> packed batches -> tier, or the next one below (cascade) -> postprocess
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Protocol, Self

from marshmallow import Schema

from ml.drift.reference import REFERENCE, Reference
from ml.registry import Artifacts


class Mode(StrEnum):
    """Which lane answers: `quality` the gpu lane, `cheap` the cpu lane, `balanced` either."""

    QUALITY = "quality"
    BALANCED = "balanced"
    CHEAP = "cheap"


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a prediction that a client may set; one set per job.

    language: BCP 47 primary subtag of the input. temperature: softmax divisor, > 0.
    max_tokens: tokens kept of each text. min_tier: lowest tier the client accepts, None for any.
    mode: see `Mode`; None for the pipeline's own.
    """

    language: str = "en"
    temperature: float = 1.0
    max_tokens: int = 256
    min_tier: str | None = None
    mode: Mode | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One validated input with the options of its job."""

    input: Mapping[str, Any]
    options: Options = Options()


@dataclass(frozen=True, slots=True)
class TierRef:
    """A tier by name and import path, so that naming it imports nothing.

    timeout_s: seconds one batch may take before the cascade answers from the tier below.
    """

    name: str
    target: str  # "package.module:Class"
    timeout_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Prediction:
    """A tier's answer to one item: a probability per class, in the pipeline's class order."""

    scores: Mapping[str, float]


class Tier(ABC):
    """One model of a pipeline, loaded on one device."""

    @classmethod
    @abstractmethod
    def load(cls, artifacts: Artifacts | None, device: str) -> Self:
        """Load weights from `artifacts` on to `device` ("cpu", "cuda:0"). Called once a process."""

    @abstractmethod
    def predict(self, batch: Sequence[Features]) -> Sequence[Prediction]:
        """One prediction per member of `batch`, in the same order.

        A member that cannot be predicted may get a non-finite score: then it alone fails.
        An exception fails the batch, which is then bisected until the bad member is alone.
        """


class Features(Protocol):
    """The features of one item; `cost` is its length for packing, in tokens."""

    @property
    def cost(self) -> int: ...


class Pipeline(ABC):
    """Features -> tiers -> post-processing for one kind of input."""

    name: ClassVar[str]
    input_schema: ClassVar[type[Schema]]
    tiers: tuple[TierRef, ...]  # best first
    cpu_tier: ClassVar[str | None] = None  # best tier the cpu lane runs; None: the last one
    batch_items: ClassVar[int] = 64  # most items a worker claims at once; the size of bulk units
    batch_tokens: ClassVar[int] = 8_192  # most padded tokens in one call of a tier
    mode: ClassVar[Mode] = Mode.QUALITY  # unless a job asks for another
    cpu_below: float = 0.0  # items less complex than this go to the cpu lane
    example: ClassVar[Mapping[str, Any]]  # a valid input: warms models up, documents the API

    @property
    def artifacts(self) -> Artifacts | None:
        """The model version served, or None for a pipeline without weights."""
        return None

    @property
    def version(self) -> str:
        """The model version as results show it; part of every cache key."""
        return self.artifacts.version if self.artifacts else "builtin"

    def fingerprint(self) -> str | None:
        """Identifies the behaviour of `features`; must equal the one in the manifest.

        None for a pipeline whose features are not shared by training and serving.
        """
        return None

    @abstractmethod
    def features(self, items: Sequence[Item]) -> Sequence[Features]:
        """Compute what the tiers read, one per item in that order. Runs on workers, on the CPU."""

    @abstractmethod
    def postprocess(self, item: Item, prediction: Prediction) -> dict[str, Any]:
        """The pipeline's part of an output: label, action, confidence, scores.

        It may add a `reason` (a word with underscores) if a rule rather than the model decided.
        """

    def complexity(self, item: Item) -> float:
        """How hard an item is, 0..1. Below `cpu_below` it goes to the cpu lane."""
        return 1.0

    def sure(self, item: Item, prediction: Prediction) -> bool:
        """Whether this answer of the cpu lane's best tier may stand; else the gpu lane is asked."""
        return True

    def mode_of(self, options: Options) -> Mode:
        """The requested mode, else the pipeline's own; quality if `min_tier` allows no other."""
        if not self.cpu_may_serve(options):
            return Mode.QUALITY
        return Mode(options.mode or self.mode)

    def cpu_may_serve(self, options: Options) -> bool:
        """Whether the cpu lane's best tier is at or above the lowest one the client accepts."""
        if options.min_tier is None:
            return True
        names = [tier.name for tier in self.tiers]
        best = names.index(self.cpu_tier) if self.cpu_tier else len(names) - 1
        return best <= names.index(options.min_tier)

    def cache_key(self, item: Item) -> str | None:
        """The key under which the answer may be cached, or None if it must not be reused.

        Equal keys under one model version must mean equal outputs, so options belong in it.
        """
        return None

    def drift_features(self, item: Item, features: Features) -> Mapping[str, float]:
        """Numeric features of an input whose drift is watched, by name; never the input itself.

        Called by workers on the few items that are sampled. Confidence and class are added from
        the output's `confidence` and `label`.
        """
        return {}

    def drift_reference(self) -> Reference | None:
        """The reference that production is compared with; None: drift is not watched.

        Raises:
            ml.registry.ArtifactError: its file differs from what the version's manifest says.
        """
        if self.artifacts is None or REFERENCE not in self.artifacts.manifest.get("files", {}):
            return None
        return Reference.read(self.artifacts.file(REFERENCE))

    def describe(self) -> dict[str, Any]:
        """The public card: what the API shows of the pipeline beside its schema and tiers."""
        return {}
