"""Scrubber: removes secrets and clients' inputs from an event before it is sent to Sentry."""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from tasks.config.settings import Settings

WITHHELD: Final = "[withheld: it may quote what a client sent]"
SECRET: Final = "[secret]"  # noqa: S105 - the replacement for one
INPUT: Final = "[input]"
LONGEST: Final = 1_000  # characters of an error's text that are kept

HEADERS: Final = ("accept", "content-length", "content-type", "user-agent", "x-request-id")

_NAMES = re.compile(
    r"authori[sz]ation|cookie|passw|secret|token|dsn|api.?key|pepper|^inputs?$", re.I
)
_SHAPES = re.compile(
    r"(?i:\bbearer\s+\S+)"
    r"|\bpsk_[0-9A-Za-z_]+"  # as in app.api_keys.key_format
    r"|\bwhsec_[0-9A-Za-z+/=]+"
    r"|(?<=://)[^/@\s]*@"  # user and password of a URL
)
# An apostrophe inside a word opens no quotation. A quotation that is not closed runs to the end.
_QUOTED = re.compile(r"""(?<!\w)[bru]{0,2}(["'`]).*?(?:\1|$)""", re.DOTALL)
_WORD = re.compile(r"\w+")
_PART = 6  # words of so many characters are removed also if they are a part of an input's word


def texts_of(value: Any) -> Iterator[str]:
    """All strings and numbers in a JSON value, including names of members."""
    if isinstance(value, Mapping):
        for name, member in value.items():
            yield str(name)
            yield from texts_of(member)
    elif isinstance(value, list | tuple):
        for member in value:
            yield from texts_of(member)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def without_inputs(text: str, inputs: Iterable[str]) -> str:
    """An error's text without quotations and without the words of `inputs`."""
    sent = "\n".join(_plain(one) for one in inputs)
    words = set(_WORD.findall(sent))

    def shown(match: re.Match[str]) -> str:
        word = _plain(match[0])
        if word.isascii() and len(word) < 3:
            return match[0]
        return INPUT if word in words or (len(word) >= _PART and word in sent) else match[0]

    return _QUOTED.sub(f"'{INPUT}'", _WORD.sub(shown, text[:LONGEST]))


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


class Scrubber:
    """Removes this process's secrets, and inputs, from all texts of an event."""

    def __init__(self, settings: Settings) -> None:
        found = {
            str(value)
            for member in dataclasses.fields(settings)
            if "secret" in member.metadata and (value := getattr(settings, member.name))
        }
        if settings.sentry_dsn and (password := urlsplit(settings.sentry_dsn).password):
            found.add(password)
        longest_first = sorted(found, key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, longest_first)))

    def event(self, event: dict[str, Any], inputs: Iterable[str] | None) -> dict[str, Any]:
        """The scrubbed event.

        inputs: client data that the errors' texts may quote; None if it is not known, so that the
        texts must be withheld.
        """
        for name in ("user", "modules"):
            event.pop(name, None)
        if "request" in event:
            event["request"] = _request(event["request"])
        sent = None if inputs is None else list(inputs)
        for error in event.get("exception", {}).get("values", ()):
            if isinstance(text := error.get("value"), str):
                error["value"] = WITHHELD if sent is None else without_inputs(text, sent)
        return {name: self._clean(value) for name, value in event.items()}

    def text(self, text: str) -> str:
        """The text without secrets."""
        return _SHAPES.sub(SECRET, self._secrets.sub(SECRET, text))

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {
                name: SECRET if _NAMES.search(str(name)) else self._clean(member)
                for name, member in value.items()
            }
        if isinstance(value, list | tuple):
            return [self._clean(member) for member in value]
        return value


def _request(request: Mapping[str, Any]) -> dict[str, Any]:
    """The request without body, query and cookies, and with harmless headers only."""
    kept = {name: request[name] for name in ("method", "url") if name in request}
    headers = request.get("headers") or {}
    return kept | {
        "headers": {name: text for name, text in headers.items() if name.lower() in HEADERS}
    }
