"""What a job's `metadata` may be: any JSON object that every store and log can keep.

It comes back exactly as it was sent, so what would do harm elsewhere is refused, not cleaned away:
U+0000, which databases cannot hold, and control characters in keys, which end up as names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

MAX_KEY = 64  # characters of a key
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


def metadata_errors(metadata: Mapping[str, Any], most_bytes: int) -> dict[str, Any]:
    """What is wrong with it, as marshmallow nests messages; empty if nothing is."""
    if len(orjson.dumps(metadata)) > most_bytes:
        return {"metadata": [f"Must be at most {most_bytes} bytes of JSON."]}
    faults = _faults(metadata)
    return {"metadata": faults} if faults else {}


def _faults(value: Any) -> dict[Any, Any] | list[str]:
    if isinstance(value, str):
        return ["Must not hold U+0000."] if "\x00" in value else []
    if isinstance(value, dict):
        found = {key: _key_faults(key) or _faults(member) for key, member in value.items()}
    elif isinstance(value, list):
        found = {index: _faults(member) for index, member in enumerate(value)}
    else:
        return []
    return {place: faults for place, faults in found.items() if faults}


def _key_faults(key: str) -> list[str]:
    if not 1 <= len(key) <= MAX_KEY:
        return [f"A key must have 1 to {MAX_KEY} characters."]
    return ["A key must not hold control characters."] if _CONTROL.search(key) else []
