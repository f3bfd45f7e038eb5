"""Newline-delimited JSON (ndjson.org) as it arrives: lines out of chunks, one held at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

MEDIA_TYPE = "application/x-ndjson"


def split_lines(chunks: Iterable[bytes], most_bytes: int) -> Iterator[bytes | None]:
    """The lines without their newlines; None for one of more than `most_bytes`, which is not held.

    The last line needs no newline. One that has it is not followed by an empty line.
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
