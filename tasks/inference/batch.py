"""A batch: claimed units taken apart into questions for the models, and put together again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from redis import Redis

from ml.pipeline import Item, Options
from ml.serving.runtime import Prepared, Runtime
from tasks.jobs.result_cache import answer_key, look_up
from tasks.queue.counters import CountedAnswer
from tasks.queue.units import Unit


@dataclass(frozen=True, slots=True)
class Group:
    """The units of a batch that go to one pipeline.

    places: for each item the index of its question among `prepared`, or its answer, if that is
    cached or came with the unit from another lane. keys: for each question its cache key, or None.
    """

    units: Sequence[Unit]
    runtime: Runtime
    places: Sequence[int | CountedAnswer]
    keys: Sequence[str | None]
    prepared: Prepared


def gather(units: Sequence[Unit], runtime: Runtime, redis: Redis) -> Group:
    """Flatten units to items, look answers up, and prepare each remaining question once."""
    items = [item for unit in units for item in items_of(unit)]
    brought = [answer for unit in units for answer in _brought(unit)]
    keys = [
        None if answer else answer_key(runtime.pipeline, item)
        for item, answer in zip(items, brought, strict=True)
    ]
    known = look_up(redis, list({key: None for key in keys if key}))
    places: list[int | CountedAnswer] = []
    asked: dict[str, int] = {}
    questions: list[Item] = []
    question_keys: list[str | None] = []
    for item, key, answer in zip(items, keys, brought, strict=True):
        if answer:
            places.append(answer)
        elif key in known:
            places.append(CountedAnswer(known[key], cached=True))
        elif key in asked:
            places.append(asked[key])
        else:
            if key:
                asked[key] = len(questions)
            places.append(len(questions))
            questions.append(item)
            question_keys.append(key)
    return Group(units, runtime, places, question_keys, runtime.prepare(questions))


def _brought(unit: Unit) -> Iterator[CountedAnswer | None]:
    """For each input the answer that another lane gave to it, if one did."""
    known = unit.payload.known
    for n in range(len(unit.payload.inputs)):
        yield CountedAnswer(**known[str(n)]) if str(n) in known else None


def items_of(unit: Unit) -> Iterator[Item]:
    options = Options(**unit.payload.options)
    return (Item(entry, options) for entry in unit.payload.inputs)
