"""The runtime of a pipeline: holds its tiers in memory, turns items into outcomes.

prepare: features, packed into batches   (CPU; may overlap with the batch before)
run:     cascade -> post-processing
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ml.catalog import resolve
from ml.pipeline import Features, Item, Mode, Pipeline, Tier, TierRef
from ml.serving import token_budget
from ml.serving.cascade import Answer, Cascade, Member
from ml.serving.error_causes import error_location
from ml.serving.isolation import Failed, isolated
from ml.serving.loaded_tier import LoadedTier
from ml.serving.outcomes import Failure, ItemError, Outcome, Verdict
from ml.serving.packing import pack

log = logging.getLogger(__name__)

_WARM_UP_SIZES: Final = (1, 8, 32)


class RuntimeLoadError(Exception):
    """A pipeline cannot be served by this process; the text names pipeline and tier."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Items with their features: a member or an error each, and the batches of members."""

    items: Sequence[Item]
    members: list[Member | ItemError]
    batches: list[list[int]]  # positions in `items`
    failures: Sequence[Failure] = ()  # of features

    def costs(self) -> Iterator[list[int]]:
        """The costs of each batch's members, in tokens."""
        for batch in self.batches:
            members = (self.members[n] for n in batch)
            yield [member.features.cost for member in members if isinstance(member, Member)]


@dataclass(frozen=True, slots=True)
class Run:
    """One outcome per item in the order they were prepared in, and the verdicts on the tiers."""

    outcomes: list[Outcome]
    verdicts: list[Verdict]
    failures: Sequence[Failure] = ()


class Runtime:
    """A pipeline's tiers, loaded on one device. `run` is for one thread at a time.

    batch_tokens: padded tokens of a batch at most. batch_items: items to claim at once. Both are
    the pipeline's own until `warm_up` finds the device's (see `ml.serving.token_budget`).
    """

    def __init__(self, pipeline: Pipeline, cascade: Cascade, top: int, device: str = "cpu") -> None:
        self.pipeline = pipeline
        self.cascade = cascade
        self.batch_tokens, self.batch_items = pipeline.batch_tokens, pipeline.batch_items
        self._device = device
        self._top = top  # index in pipeline.tiers of the cascade's first tier
        self._level = {ref.name: n for n, ref in enumerate(pipeline.tiers)}

    @classmethod
    def load(cls, pipeline: Pipeline, device: str, top: str | None = None) -> Runtime:
        """Loads the tiers from `top` (None: the first) down on to `device`.

        Raises RuntimeLoadError for an unknown `top` or a target that is no Tier, ArtifactError
        for weights that fail their checks, and whatever a tier's own `load` raises.
        """
        names = [ref.name for ref in pipeline.tiers]
        if top is not None and top not in names:
            raise RuntimeLoadError(f"pipeline {pipeline.name} has no tier {top!r}, only {names}")
        first = names.index(top) if top else 0
        if pipeline.artifacts and (fingerprint := pipeline.fingerprint()):
            pipeline.artifacts.require_features(fingerprint)
        tiers = [_load(ref, pipeline, device) for ref in pipeline.tiers[first:]]
        return cls(pipeline, Cascade(tiers), first, device)

    def warm_up(self) -> None:
        """Runs the example through every tier in several batch sizes, without time limits.

        Then finds the batch budget; on a GPU by a calibration of some seconds.

        Raises RuntimeLoadError naming the tier that fails, ArtifactError for a manifest whose
        budget is invalid.
        """
        item = Item(self.pipeline.example)
        for size in sorted({min(n, self.pipeline.batch_items) for n in _WARM_UP_SIZES}):
            batch = self.pipeline.features([item] * size)
            for loaded in self.cascade.tiers:
                _try_out(loaded, batch)
        top, best = self.pipeline.tiers[self._top], self.cascade.tiers[0].tier
        found = token_budget.find(self.pipeline, top, best, self._device)
        self.batch_tokens, self.batch_items = found.tokens, found.items
        error = self.run(self.prepare([item])).outcomes[0].error
        if error:
            raise RuntimeLoadError(f"pipeline {self.pipeline.name}: its example fails: {error}")

    def prepare(self, items: Sequence[Item]) -> Prepared:
        """Features of `items`, packed into batches; an item without features keeps its error."""
        found = isolated(self.pipeline.features, items)
        failures = [
            Failure(n, "features", one.error)
            for n, one in enumerate(found)
            if isinstance(one, Failed)
        ]
        members = [self._member(item, one) for item, one in zip(items, found, strict=True)]
        sound = [n for n, member in enumerate(members) if isinstance(member, Member)]
        costs = [member.features.cost for member in members if isinstance(member, Member)]
        batches = pack(costs, self.batch_tokens, self.batch_items)
        return Prepared(items, members, [[sound[n] for n in batch] for batch in batches], failures)

    def run(self, prepared: Prepared, skip: Collection[str] = ()) -> Run:
        """Answer what was prepared, skipping the tiers in `skip` where another may answer.

        Raises:
            ml.serving.device_faults.DeviceLost: the device failed; nothing can be computed here.
        """
        answers: list[Answer | ItemError | None] = [
            member if isinstance(member, ItemError) else None for member in prepared.members
        ]
        verdicts: list[Verdict] = []
        failures = list(prepared.failures)
        for batch in prepared.batches:
            members = [m for n in batch if isinstance(m := prepared.members[n], Member)]
            found, seen = self.cascade.answer(members, skip)
            verdicts += seen
            failures += [replace(f, index=batch[f.index]) for v in seen for f in v.failures]
            for n, answer in zip(batch, found, strict=True):
                answers[n] = answer
        version = self.pipeline.version
        outcomes = []
        for item, known in zip(prepared.items, answers, strict=True):
            try:
                outcomes.append(self._outcome(item, known, version))
            except Exception as error:
                log.error("postprocess of %s failed: %s", self.pipeline.name, error_location(error))  # noqa: TRY400
                failures.append(Failure(len(outcomes), "postprocess", error))
                outcomes.append(Outcome(None, ItemError("postprocess_error", repr(error))))
        return Run(outcomes, verdicts, failures)

    def stuck_s(self) -> float:
        """Seconds that a call of a tier has gone on beyond its time limit; 0 if none does."""
        return max(tier.stuck_s for tier in self.cascade.tiers)

    def _member(self, item: Item, features: Features | Failed) -> Member | ItemError:
        if isinstance(features, Failed):
            return ItemError("feature_error", str(features))
        lowest = item.options.min_tier
        if lowest is None:
            return Member(features, len(self._level))
        if lowest not in self._level:
            known = ", ".join(self._level)
            return ItemError("tier_unavailable", f"there is no tier {lowest!r}, only {known}")
        return Member(features, self._level[lowest] - self._top)

    def _outcome(self, item: Item, answer: Answer | ItemError | None, version: str) -> Outcome:
        if not isinstance(answer, Answer):
            return Outcome(None, answer)
        output = self.pipeline.postprocess(item, answer.prediction)
        reasons = [reason for reason in (answer.reason, output.get("reason")) if reason]
        degraded = answer.reason is not None
        output["tier"], output["model_version"] = answer.tier, version
        output["degraded"], output["reason"] = degraded, "; ".join(reasons) or None
        return Outcome(output, None, self._sure(item, answer))

    def _sure(self, item: Item, answer: Answer) -> bool:
        """Whether the answer may stand although other processes run better tiers."""
        if self._top == 0 or self.pipeline.mode_of(item.options) is not Mode.BALANCED:
            return True
        return answer.reason is None and self.pipeline.sure(item, answer.prediction)


def _load(ref: TierRef, pipeline: Pipeline, device: str) -> LoadedTier:
    found = resolve(ref.target)
    if not (isinstance(found, type) and issubclass(found, Tier)):
        raise RuntimeLoadError(f"tier {ref.name!r}: {ref.target} is no subclass of Tier")
    return LoadedTier(ref.name, found.load(pipeline.artifacts, device), ref.timeout_s)


def _try_out(loaded: LoadedTier, batch: Sequence[Features]) -> None:
    try:
        results = loaded.tier.predict(batch)
    except Exception as error:
        raise RuntimeLoadError(f"warm-up of tier {loaded.name!r} failed: {error!r}") from error
    if len(results) != len(batch):
        raise RuntimeLoadError(
            f"warm-up of tier {loaded.name!r}: {len(results)} results for {len(batch)} inputs"
        )
