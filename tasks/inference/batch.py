"""Prepare a batch: claimed units become questions for the models, each asked once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from redis import Redis

from ml.pipeline import Item, Options
from ml.serving.runtime import Prepared, Runtime
from tasks.jobs.result_cache import answer_key, look_up
from tasks.queue.counters import CountedAnswer
from tasks.queue.units import Unit

# Where an item gets its answer: the index of a question, or an answer that is already known
Source = int | CountedAnswer


@dataclass(frozen=True, slots=True)
class Group:
    """The units of a batch that go to one pipeline, and their questions.

    sources: one for each item of all units. An answer is known if it is in the result cache or
    came with the unit from another lane. keys: for each question its cache key, or None.
    prepared: the questions.
    """

    units: Sequence[Unit]
    runtime: Runtime
    sources: Sequence[Source]
    keys: Sequence[str | None]
    prepared: Prepared


class _Questions:
    """Distinct questions, in the order in which they first came."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.keys: list[str | None] = []
        self._index: dict[str, int] = {}

    def add(self, item: Item, key: str | None) -> int:
        """The index of an item's question; items with the same key share one."""
        new = len(self.items)
        if key and (index := self._index.setdefault(key, new)) != new:
            return index
        self.items.append(item)
        self.keys.append(key)
        return new


def gather(units: Sequence[Unit], runtime: Runtime, redis: Redis) -> Group:
    """Turn the units of one pipeline into questions; what is known already is not asked.

    Raises:
        redis.RedisError: the result cache cannot be reached.
    """
    items = [item for unit in units for item in items_of(unit)]
    brought = [answer for unit in units for answer in _brought_answers(unit)]
    keys = [
        None if answer else answer_key(runtime.pipeline, item)
        for item, answer in zip(items, brought, strict=True)
    ]
    cached = look_up(redis, list({key: None for key in keys if key}))
    questions = _Questions()
    sources: list[Source] = []
    for item, key, answer in zip(items, keys, brought, strict=True):
        if answer:
            sources.append(answer)
        elif key in cached:
            sources.append(CountedAnswer(cached[key], cached=True))
        else:
            sources.append(questions.add(item, key))
    prepared = runtime.prepare(questions.items)
    return Group(units, runtime, sources, questions.keys, prepared)


def items_of(unit: Unit) -> Iterator[Item]:
    """The valid inputs of a unit, with the job's options."""
    options = Options(**unit.payload.options)
    return (Item(entry, options) for entry in unit.payload.inputs)


def _brought_answers(unit: Unit) -> Iterator[CountedAnswer | None]:
    """For each input the answer that another lane gave to it, or None."""
    known = unit.payload.known
    for n in range(len(unit.payload.inputs)):
        yield CountedAnswer(**known[str(n)]) if str(n) in known else None
