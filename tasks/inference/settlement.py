"""Settlement of a batch: run the models, hand every unit its outcomes, count them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from ml.pipeline import Pipeline
from ml.serving.outcomes import Outcome, Verdict
from tasks.drift.sampler import Sampler
from tasks.inference import failures
from tasks.inference.batch import Group
from tasks.jobs.result_cache import is_cacheable
from tasks.queue.circuit_breakers import CircuitBreakers, breaker_name
from tasks.queue.counters import Answer, CountedAnswer, count_unit, device_time
from tasks.queue.units import Escalation, SettledUnit, Unit


def run(
    group: Group, breakers: CircuitBreakers, lane: str, sampler: Sampler
) -> tuple[list[SettledUnit], Counter[str], Sequence[Verdict]]:
    """Run a group's questions and hand every unit its outcomes, in input order.

    Returns them, the microseconds that each tier took, by series, and the calls of tiers.

    Raises:
        ml.serving.device_faults.DeviceLost: the device can compute nothing more in this process.
    """
    pipeline = group.runtime.pipeline
    tiers = [tier.name for tier in group.runtime.cascade.tiers]
    ran = group.runtime.run(group.prepared, skip=breakers.tiers_to_skip(pipeline.name, tiers))
    breakers.record(pipeline.name, ran.verdicts)
    sampler.see(pipeline.name, group.prepared, [_final(outcome) for outcome in ran.outcomes])
    if ran.failures:
        asking, questions = _asking(group), group.prepared.items
        failures.models_failed(ran.failures, asking.__getitem__, lambda n: questions[n].input)
    opened = breakers.is_open(pipeline.name, pipeline.tiers[0].name)
    spent = device_time(pipeline.name, lane, ran.verdicts)
    return list(_settle(group, ran.outcomes, lane, spent.total(), opened)), spent, ran.verdicts


def _settle(
    group: Group, outcomes: Sequence[Outcome], lane: str, spent_us: int, opened: bool
) -> Iterator[SettledUnit]:
    """What becomes of each unit. opened: the breaker of the best tier."""
    pipeline = group.runtime.pipeline
    answers = [_as_answer(outcome) for outcome in outcomes]
    unsure = {n for n, outcome in enumerate(outcomes) if not outcome.sure}
    share_us = spent_us / max(1, sum(isinstance(place, int) for place in group.places))
    keep = _to_keep(group, answers, unsure)
    places = iter(group.places)
    for unit in group.units:
        own = list(islice(places, len(unit.payload.inputs)))
        items = [
            place
            if isinstance(place, CountedAnswer)
            else CountedAnswer(
                _degraded(answers[place], _why(unit, place in unsure, opened), pipeline),
                asked=bool(group.keys[place]),
            )
            for place in own
        ]
        escalation = None if unit.reason else _onward(unit, own, items, unsure, pipeline)
        computed = sum(isinstance(place, int) for place in own)
        cached = bool(own) and all(item.cached for item in items)
        _insert_rejected(items, unit)
        counts = count_unit(pipeline.name, lane, items, round(computed * share_us))
        yield SettledUnit(unit, [item.answer for item in items], keep, cached, counts, escalation)
        keep = {}


def _to_keep(group: Group, answers: Sequence[Answer], unsure: Collection[int]) -> dict[str, Answer]:
    """Full answers by their cache key. A unit that was moved here may have a lower tier's."""
    if any(unit.reason for unit in group.units):
        return {}
    return {
        key: answer
        for n, (key, answer) in enumerate(zip(group.keys, answers, strict=True))
        if key and n not in unsure and is_cacheable(answer)
    }


def _onward(
    unit: Unit,
    own: Sequence[int | CountedAnswer],
    items: Sequence[CountedAnswer],
    unsure: Collection[int],
    pipeline: Pipeline,
) -> Escalation | None:
    """What the gpu lane is asked, if anything: the unit, with the answers that may stand."""
    asked = [isinstance(place, int) and place in unsure for place in own]
    if not any(asked):
        return None
    known = {
        str(n): {"answer": item.answer, "cached": item.cached, "asked": item.asked}
        for n, item in enumerate(items)
        if not asked[n]
    }
    best = breaker_name(pipeline.name, pipeline.tiers[0].name)
    return Escalation(replace(unit.payload, known=known), best)


def _why(unit: Unit, unsure: bool, opened: bool) -> str | None:
    """Why a lower tier than the best answers, if it does; of an unsure answer, if it stands."""
    if unit.reason or not unsure:
        return unit.reason
    return "breaker_open" if opened else "no_gpu_worker"


def _final(outcome: Outcome) -> Outcome:
    """The outcome, without its output if another lane is asked too, which then counts."""
    return outcome if outcome.sure else replace(outcome, output=None)


def _asking(group: Group) -> dict[int, Unit]:
    """The first unit that asks each question."""
    places = iter(group.places)
    found: dict[int, Unit] = {}
    for unit in group.units:
        for place in islice(places, len(unit.payload.inputs)):
            if isinstance(place, int):
                found.setdefault(place, unit)
    return found


def _insert_rejected(items: list[CountedAnswer], unit: Unit) -> None:
    """The inputs that were not valid fail in their places, so that a line answers each."""
    for place, error in sorted(unit.payload.rejected.items(), key=lambda pair: int(pair[0])):
        items.insert(int(place), CountedAnswer({"output": None, "error": error}))


def _degraded(answer: Answer, why: str | None, pipeline: Pipeline) -> Answer:
    """The answer, marked if there is a reason why a lower tier than the best gave it."""
    output, best = answer["output"], pipeline.tiers[0].name
    if not why or output is None or output["tier"] == best or output["degraded"]:
        return answer
    reasons = [reason for reason in (why, output["reason"]) if reason]
    return {**answer, "output": output | {"degraded": True, "reason": "; ".join(reasons)}}


def fail(units: Sequence[Unit], lane: str, code: str, message: str) -> Iterator[SettledUnit]:
    """Settle units that no model can answer."""
    outcome = {"output": None, "error": {"code": code, "message": message}}
    for unit in units:
        counts = count_unit(unit.payload.pipeline, lane, [CountedAnswer(outcome)] * unit.items, 0)
        yield SettledUnit(unit, [outcome] * unit.items, {}, counters=counts)


def _as_answer(outcome: Outcome) -> Answer:
    error = outcome.error
    return {
        "output": outcome.output,
        "error": {"code": error.code, "message": error.message} if error else None,
    }
