"""Splits newline-delimited JSON (ndjson.org) into lines while it arrives; one line is in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

MEDIA_TYPE = "application/x-ndjson"


def split_lines(chunks: Iterable[bytes], most_bytes: int) -> Iterator[bytes | None]:
    """Split into lines without their newlines; None for a line of more than `most_bytes` bytes.

    The last line needs no newline. If it has one, no empty line follows.
    """
    line = bytearray()
    too_long = False
    for chunk in chunks:
        for number, part in enumerate(chunk.split(b"\n")):
            if number > 0:
                yield None if too_long else bytes(line)
                line.clear()
                too_long = False
            if len(line) + len(part) > most_bytes:
                line.clear()
                too_long = True
            elif not too_long:
                line += part
    if line or too_long:
        yield None if too_long else bytes(line)
