"""Hashes: a keyed hash of a job's inputs for the log, and digests of keys and bodies.

With the input hash, jobs with equal inputs can be found in logs, but inputs cannot be read from
them. It is BLAKE2b (RFC 7693) with a key derived from the pepper, so that the logs alone do not
allow likely inputs to be tried. Inputs are hashed as the pipeline's schema returns them, each
followed by a line feed, so the hash is the same for one body, several units and an upload.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE


class InputHash:
    """Keyed hash of inputs that are added in order."""

    def __init__(self, pepper: str) -> None:
        key = hashlib.blake2b(pepper.encode(), person=b"penstock inputs").digest()
        self._hash = hashlib.blake2b(key=key, digest_size=16)

    def add(self, inputs: Iterable[Mapping[str, Any]]) -> None:
        """Add inputs, in their order."""
        for entry in inputs:
            self._hash.update(orjson.dumps(entry, option=_OPTIONS))

    @property
    def hex(self) -> str:
        """The hash of all inputs added so far; 32 characters."""
        return self._hash.hexdigest()


def digest_of(*parts: bytes) -> str:
    """Digest of a client's key, body or question; 160 bits, so that none collides with another."""
    digest = hashlib.blake2b(digest_size=20)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()
