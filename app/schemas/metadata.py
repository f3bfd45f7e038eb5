"""Validates a job's `metadata`: any JSON object that databases and logs can store.

It is returned exactly as it was sent. So what would do harm elsewhere is refused, not removed:
U+0000, which databases cannot store, and control characters in keys, which become names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

MAX_KEY = 64  # characters of a key
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


def metadata_errors(metadata: Mapping[str, Any], most_bytes: int) -> dict[str, Any]:
    """Its errors, nested as marshmallow nests messages; empty if it is valid."""
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
    return {key: faults for key, faults in found.items() if faults}


def _key_faults(key: str) -> list[str]:
    if not 1 <= len(key) <= MAX_KEY:
        return [f"A key must have 1 to {MAX_KEY} characters."]
    return ["A key must not hold control characters."] if _CONTROL.search(key) else []
