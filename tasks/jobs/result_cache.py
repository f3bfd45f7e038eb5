"""Result cache: equal questions to one model version are computed once.

Submit looks up a single job in the same round trip that would accept it. Workers look up a whole
batch again, since an answer may have been stored meanwhile, and run equal items of a batch once.
Hits are counted in tasks/lua/jobs/submit.lua and `tasks.queue.counters`.
Only full answers are cached: no errors and no degraded answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from redis import Redis

from ml.pipeline import Item, Pipeline
from tasks.jobs.hashing import digest_of
from tasks.store import keys


def answer_key(pipeline: Pipeline, item: Item) -> str | None:
    """The cache key of the answer to `item`; None if the pipeline does not reuse answers."""
    question = pipeline.cache_key(item)
    if question is None:
        return None
    parts = (pipeline.name, pipeline.version, pipeline.mode_of(item.options), question)
    return keys.cache(digest_of(*(part.encode() for part in parts)))


def look_up(redis: Redis, wanted: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """The cached outcomes, by key."""
    if not wanted:
        return {}
    found = redis.mget(wanted)
    return {key: orjson.loads(raw)[0] for key, raw in zip(wanted, found, strict=True) if raw}


def is_cacheable(outcome: Mapping[str, Any]) -> bool:
    """Whether an outcome may be cached: no error, and not degraded."""
    return outcome["error"] is None and not outcome["output"].get("degraded")
