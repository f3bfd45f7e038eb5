"""Strict JSON parser for untrusted bodies: sizes are checked before anything is built.

Python's parser accepts duplicate keys, NaN, lone surrogates and numbers of any size, and builds
whatever it is given: 8 MB of `0,` once cost 580 MB and 4.5 s. So the text is measured first.
Counting bytes gives upper bounds of its keys, values and levels, at memory speed. Only a text
beyond such a bound is examined closer, and a text beyond the limits is refused before it is parsed.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any, Final, NoReturn

from app.http.errors import BadRequest, MalformedBody
from tasks.config.settings import Settings

MAX_NUMBER: Final = 400  # characters; the largest double written out has 309
FEW: Final = 1_000  # containers or bytes: harmless, so they are parsed and errors name their place

_SURROGATE = re.compile("[\ud800-\udfff]")
_LEAST, _BEYOND = -(2**63), 2**63
_INVALID = "The body is not valid."
_BRACKETS = b"[]{}"
_ALL_SQUARE = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in _BRACKETS)


def parse(text: bytes, settings: Settings) -> Any:
    """Parse one JSON value in UTF-8.

    Raises:
        MalformedBody: it is not JSON, a key appears twice in one object, a number is longer than
            MAX_NUMBER characters, or there are more keys, values or levels than `settings` allow.
        BadRequest: a string is not valid Unicode, a number does not fit 64 bits, or a value is
            nested too deep; names the place.
    """
    _measure(text, settings)
    value = _decode(text)
    if not _is_sound(value, settings.max_json_depth):
        _name_the_fault(value, settings.max_json_depth)
    return value


def reference(key: str) -> str:
    """A reference token of a JSON pointer (RFC 6901); a long key of a client is truncated."""
    return key[:200].replace("~", "~0").replace("/", "~1")


def _measure(text: bytes, settings: Settings) -> None:
    """Refuse too many keys, values or levels before the text is parsed."""
    if len(text) <= FEW:
        return
    most_keys, most_values = settings.max_json_keys, 2 * settings.max_json_keys
    containers = text.count(b"[") + text.count(b"{")
    if (
        containers <= FEW
        and text.count(b":") <= most_keys
        and text.count(b",") + containers <= most_values
    ):
        return
    outside = _outside_strings(text, most_strings=most_keys + most_values)
    brackets = outside.translate(_ALL_SQUARE, _NO_BRACKETS)[: 4 * most_values]
    if _nests_deeper(brackets, settings.max_json_depth):
        raise MalformedBody(f"The body must nest at most {settings.max_json_depth} levels deep.")
    if outside.count(b":") > most_keys:
        raise MalformedBody(f"The body must have at most {most_keys} keys in all its objects.")
    # A value follows a comma or is the first of its container.
    if outside.count(b",") + outside.count(b"[") + outside.count(b"{") > most_values:
        raise _too_many(most_values)


def _outside_strings(text: bytes, most_strings: int) -> bytes:
    """`text` without its strings; exact if `text` is JSON, and the parser stops where it is not."""
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    if text.count(b'"') > 2 * most_strings:
        raise _too_many(most_strings)
    return b"".join(text.split(b'"')[::2])


def _nests_deeper(brackets: bytes, levels: int) -> bool:
    """Whether a string of `[` and `]` nests deeper; each round removes the innermost level."""
    for _ in range(levels):
        brackets = brackets.replace(b"[]", b"")
    return b"[]" in brackets or brackets.count(b"[") > levels


def _too_many(most: int) -> MalformedBody:
    return MalformedBody(f"The body must hold at most {most} values in all, in objects and lists.")


def _decode(text: bytes) -> Any:
    try:
        return _DECODER.decode(text.decode())
    except UnicodeDecodeError as error:
        raise MalformedBody(f"The body must be UTF-8; byte {error.start} is not.") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        what = error.msg.removesuffix(" at")  # "Unterminated string starting at"
        raise MalformedBody(f"The body must be JSON: {what} at {place}.") from None
    except RecursionError:
        raise MalformedBody("The body nests too deep.") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        twice = next(name for name, times in Counter(n for n, _ in pairs).items() if times > 1)
        raise MalformedBody(f"The member {twice[:100]!r} appears twice in one object.")
    return members


def _integer(digits: str) -> int:
    return int(_bounded(digits))


def _float(digits: str) -> float:
    return float(_bounded(digits))


def _bounded(digits: str) -> str:
    if len(digits) > MAX_NUMBER:
        raise MalformedBody(
            f"The body holds a number that is too long; {MAX_NUMBER} characters are allowed."
        )
    return digits


# NaN and Infinity are parsed, so that `_name_the_fault` can name their place.
_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_int=_integer, parse_float=_float)


def _is_sound(document: Any, max_depth: int) -> bool:
    """Whether its strings fit UTF-8, its numbers 64 bits, and its depth `max_depth` levels."""
    level: list[Any] = [document]
    for _ in range(max_depth):
        below: list[Any] = []
        for value in level:
            if isinstance(value, str):
                if not _is_unicode(value):
                    return False
            elif isinstance(value, dict):
                if not all(map(_is_unicode, value)):
                    return False
                below += value.values()
            elif isinstance(value, list):
                below += value
            elif not _fits(value):
                return False
        if not below:
            return True
        level = below
    return False


def _is_unicode(text: str) -> bool:
    return text.isascii() or not _SURROGATE.search(text)


def _fits(value: float | None) -> bool:
    return value is None or _LEAST <= value < _BEYOND


def _name_the_fault(document: Any, max_depth: int) -> NoReturn:
    """Walk an unsound document again, level by level, and raise for the first fault."""
    level: list[tuple[str, Any]] = [("", document)]
    for _ in range(max_depth):
        below: list[tuple[str, Any]] = []
        for pointer, value in level:
            if isinstance(value, dict):
                for key, member in value.items():
                    _check_text(pointer, key)
                    below.append((f"{pointer}/{reference(key)}", member))
            elif isinstance(value, list):
                below += [(f"{pointer}/{index}", member) for index, member in enumerate(value)]
            elif isinstance(value, str):
                _check_text(pointer, value)
            elif not _fits(value):
                detail = "Must be a finite number between -2^63 and 2^63."
                raise BadRequest(_INVALID, [{"pointer": pointer, "detail": detail}])
        level = below
    detail = f"The body must nest at most {max_depth} levels deep."
    raise BadRequest(detail, [{"pointer": level[0][0], "detail": detail}])


def _check_text(pointer: str, text: str) -> None:
    if found := _SURROGATE.search(text):
        detail = f"Must be valid Unicode; character {found.start()} is a lone surrogate."
        raise BadRequest(_INVALID, [{"pointer": pointer, "detail": detail}])
