"""Runs a prepared batch and settles its units: gives each its outcomes and counts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from ml.pipeline import Pipeline
from ml.serving.outcomes import Outcome, Verdict
from ml.serving.runtime import Run
from tasks.drift.sampler import Sampler
from tasks.inference import failures
from tasks.inference.batch import Group, Source
from tasks.jobs.result_cache import is_cacheable
from tasks.queue.circuit_breakers import CircuitBreakers, breaker_name
from tasks.queue.counters import Answer, CountedAnswer, count_unit, device_time
from tasks.queue.units import Escalation, SettledUnit, Unit


@dataclass(frozen=True, slots=True)
class GroupResult:
    """The units of a group with their outcomes.

    device_us: microseconds that each tier ran on the device, by series. calls: of tiers.
    """

    settled: Sequence[SettledUnit]
    device_us: Counter[str]
    calls: Sequence[Verdict]


def run(group: Group, breakers: CircuitBreakers, lane: str, sampler: Sampler) -> GroupResult:
    """Run a group's questions and give every unit its outcomes, in input order.

    Raises:
        ml.serving.device_faults.DeviceLost: the device can compute nothing more in this process.
    """
    ran = _run_models(group, breakers)
    _sample_for_drift(group, ran, sampler)
    _report_failures(group, ran)
    pipeline = group.runtime.pipeline
    device_us = device_time(pipeline.name, lane, ran.verdicts)
    best_tier_open = breakers.is_open(pipeline.name, pipeline.tiers[0].name)
    answers = _GroupAnswers(group, ran.outcomes, best_tier_open)
    return GroupResult(list(_settle(answers, lane, device_us.total())), device_us, ran.verdicts)


def fail(units: Sequence[Unit], lane: str, code: str, message: str) -> Iterator[SettledUnit]:
    """Settle units that no model can answer: every item gets the same error."""
    outcome = {"output": None, "error": {"code": code, "message": message}}
    for unit in units:
        items = [CountedAnswer(outcome)] * unit.items
        counters = count_unit(unit.payload.pipeline, lane, items, 0)
        yield SettledUnit(unit, [outcome] * unit.items, {}, counters=counters)


def _run_models(group: Group, breakers: CircuitBreakers) -> Run:
    """Run the questions on the tiers whose breakers allow it, and record the calls there."""
    name = group.runtime.pipeline.name
    tiers = [tier.name for tier in group.runtime.cascade.tiers]
    ran = group.runtime.run(group.prepared, skip=breakers.tiers_to_skip(name, tiers))
    breakers.record(name, ran.verdicts)
    return ran


def _sample_for_drift(group: Group, ran: Run, sampler: Sampler) -> None:
    """Show the sampler the outcomes; an unsure one without its output, as the gpu lane's counts."""
    final = [one if one.sure else replace(one, output=None) for one in ran.outcomes]
    sampler.observe(group.runtime.pipeline.name, group.prepared, final)


def _report_failures(group: Group, ran: Run) -> None:
    """Report failures of models to Sentry, with the unit and the input that had them."""
    if not ran.failures:
        return
    units, questions = _first_units(group), group.prepared.items
    failures.models_failed(ran.failures, units.__getitem__, lambda n: questions[n].input)


def _first_units(group: Group) -> dict[int, Unit]:
    """For each question the first unit that asks it."""
    sources = iter(group.sources)
    found: dict[int, Unit] = {}
    for unit in group.units:
        for source in islice(sources, len(unit.payload.inputs)):
            if isinstance(source, int):
                found.setdefault(source, unit)
    return found


class _GroupAnswers:
    """Answers to the questions of a group, and what follows from them for each unit.

    unsure: indices of the questions that the gpu lane should answer instead.
    """

    def __init__(self, group: Group, outcomes: Sequence[Outcome], best_tier_open: bool) -> None:
        self.group = group
        self.pipeline = group.runtime.pipeline
        self.answers = [_as_answer(outcome) for outcome in outcomes]
        self.unsure = {n for n, outcome in enumerate(outcomes) if not outcome.sure}
        self._best_tier_open = best_tier_open
        self._counted = [
            CountedAnswer(answer, asked=bool(key))
            for answer, key in zip(self.answers, group.keys, strict=True)
        ]

    def items_for(self, unit: Unit, sources: Sequence[Source]) -> list[CountedAnswer]:
        """The answer to each valid input of a unit."""
        if not self.unsure and not unit.reason:  # the usual case: no answer has to be marked
            counted = self._counted
            return [one if isinstance(one, CountedAnswer) else counted[one] for one in sources]
        return [
            source if isinstance(source, CountedAnswer) else self._computed(unit, source)
            for source in sources
        ]

    def escalation_for(
        self, unit: Unit, sources: Sequence[Source], items: Sequence[CountedAnswer]
    ) -> Escalation | None:
        """What the gpu lane should finish: the unit, with the answers that stay; None if nothing.

        A unit that was moved here stays here.
        """
        if unit.reason or not self.unsure:
            return None
        unsure = [isinstance(source, int) and source in self.unsure for source in sources]
        if not any(unsure):
            return None
        known = {
            str(n): {"answer": item.answer, "cached": item.cached, "asked": item.asked}
            for n, item in enumerate(items)
            if not unsure[n]
        }
        best = breaker_name(self.pipeline.name, self.pipeline.tiers[0].name)
        return Escalation(replace(unit.payload, known=known), best)

    def cacheable(self) -> dict[str, Answer]:
        """Full answers by their cache key; none if a unit that was moved here lowered the tier."""
        if any(unit.reason for unit in self.group.units):
            return {}
        return {
            key: answer
            for n, (key, answer) in enumerate(zip(self.group.keys, self.answers, strict=True))
            if key and n not in self.unsure and is_cacheable(answer)
        }

    def _computed(self, unit: Unit, question: int) -> CountedAnswer:
        reason = self._reason_of(unit, question in self.unsure)
        answer = _mark_degraded(self.answers[question], reason, self.pipeline)
        return CountedAnswer(answer, asked=bool(self.group.keys[question]))

    def _reason_of(self, unit: Unit, unsure: bool) -> str | None:
        """Why a lower tier than the best answered, if it did; an unsure answer may yet stay."""
        if unit.reason or not unsure:
            return unit.reason
        return "breaker_open" if self._best_tier_open else "no_gpu_worker"


def _settle(answers: _GroupAnswers, lane: str, device_us: int) -> Iterator[SettledUnit]:
    """Give every unit its outcomes. Its device time is its share of the computed items."""
    group = answers.group
    share_us = device_us / max(1, _computed_items(group.sources))
    cacheable = answers.cacheable()
    sources = iter(group.sources)
    for unit in group.units:
        own = list(islice(sources, len(unit.payload.inputs)))
        items = answers.items_for(unit, own)
        escalation = answers.escalation_for(unit, own, items)
        cached = bool(own) and all(item.cached for item in items)
        _insert_rejected(items, unit)
        unit_us = round(_computed_items(own) * share_us)
        counters = count_unit(answers.pipeline.name, lane, items, unit_us)
        outcomes = [item.answer for item in items]
        yield SettledUnit(unit, outcomes, cacheable, cached, counters, escalation)
        cacheable = {}  # the first unit's commit stores them all


def _computed_items(sources: Collection[Source]) -> int:
    """How many items got their answer from a question."""
    return sum(isinstance(source, int) for source in sources)


def _insert_rejected(items: list[CountedAnswer], unit: Unit) -> None:
    """Insert an error for each invalid input at its index, so that every input has an outcome."""
    for index, error in sorted(unit.payload.rejected.items(), key=lambda pair: int(pair[0])):
        items.insert(int(index), CountedAnswer({"output": None, "error": error}))


def _mark_degraded(answer: Answer, reason: str | None, pipeline: Pipeline) -> Answer:
    """The answer, marked as degraded if a lower tier than the best gave it for a reason."""
    output, best = answer["output"], pipeline.tiers[0].name
    if not reason or output is None or output["tier"] == best or output["degraded"]:
        return answer
    reasons = [one for one in (reason, output["reason"]) if one]
    return {**answer, "output": output | {"degraded": True, "reason": "; ".join(reasons)}}


def _as_answer(outcome: Outcome) -> Answer:
    error = outcome.error
    return {
        "output": outcome.output,
        "error": {"code": error.code, "message": error.message} if error else None,
    }
