"""A keyed hash of a job's inputs: equal inputs can be found in logs, and never read from them.

BLAKE2b with a key derived from the pepper (RFC 7693), so that whoever has the logs alone cannot try
likely inputs out. The inputs are hashed as the pipeline's schema leaves them, each followed by a
line feed, so it does not matter how they came: in one body, in several units, or as an upload.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE


class InputHash:
    """Takes inputs in their order."""

    def __init__(self, pepper: str) -> None:
        key = hashlib.blake2b(pepper.encode(), person=b"penstock inputs").digest()
        self._hash = hashlib.blake2b(key=key, digest_size=16)

    def add(self, inputs: Iterable[Mapping[str, Any]]) -> None:
        for entry in inputs:
            self._hash.update(orjson.dumps(entry, option=_OPTIONS))

    @property
    def hex(self) -> str:
        """Of all that was added so far; 32 characters."""
        return self._hash.hexdigest()


def digest_of(*parts: bytes) -> str:
    """A short name for a client's key, body or question; 160 bits, so none meets another."""
    digest = hashlib.blake2b(digest_size=20)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()
