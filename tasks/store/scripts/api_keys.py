"""The scripts of tasks/lua/api_keys and their arguments; each Lua file explains what they mean."""

from __future__ import annotations

from typing import NamedTuple, Never

from tasks.store.scripts.script import Script


class ReadApiKeysArgs(NamedTuple):
    """Arguments of read.lua."""

    known_version: str


class WriteApiKeysArgs(NamedTuple):
    """Arguments of write.lua."""

    known_version: str


class ApiKeyRecord(NamedTuple):
    """A key as write.lua takes it."""

    id: str
    record: bytes


READ_API_KEYS = Script[ReadApiKeysArgs, Never]("api_keys/read", ReadApiKeysArgs)
WRITE_API_KEYS = Script[WriteApiKeysArgs, ApiKeyRecord](
    "api_keys/write", WriteApiKeysArgs, ApiKeyRecord
)
