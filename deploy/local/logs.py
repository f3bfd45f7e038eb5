"""Follows the processes' log files, and shows their last lines after a failure."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Container, Mapping
from pathlib import Path
from typing import BinaryIO

_COLOURS = (36, 32, 33, 35, 34, 31)  # SGR foreground colours, ECMA-48 section 8.3.117
_TAIL_BYTES = 64 * 1_024
_TAIL_LINES = 20
_EXITED = re.compile(r" exited: (\S+) \(")


class LogFile:
    """The lines that a process adds to its log file from now on, across rotations."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._start = path.stat().st_size if path.exists() else 0
        self._file: BinaryIO | None = None
        self._partial = b""

    def new_lines(self) -> list[str]:
        """Return the complete lines that were added since the last call."""
        *lines, self._partial = (self._partial + self._read()).split(b"\n")
        return [line.decode(errors="replace") for line in lines]

    def tail(self, count: int) -> list[str]:
        """Return the last `count` lines that were added since the start."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            # A file shorter than at the start was rotated meanwhile: all of it is new.
            start = self._start if self._start <= size else 0
            file.seek(max(start, size - _TAIL_BYTES))
            return file.read().decode(errors="replace").splitlines()[-count:]

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _read(self) -> bytes:
        if self._file is None:
            self._file = self._open(self._start)
        read = b""
        while self._file is not None:
            rotated = self._was_rotated(self._file)
            read += self._file.read()
            if not rotated:
                break
            self._file.close()
            self._file = self._open(0)
        return read

    def _open(self, start: int) -> BinaryIO | None:
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            return None
        file.seek(start)
        return file

    def _was_rotated(self, file: BinaryIO) -> bool:
        """Whether the file was rotated, so that no line will be added to it any more."""
        try:
            return not os.path.samestat(os.fstat(file.fileno()), self._path.stat())
        except FileNotFoundError:
            return False


class Logs:
    """The log files of all processes, of which those of `shown` are printed."""

    def __init__(self, paths: Mapping[str, Path], shown: Container[str]) -> None:
        self._files = {name: LogFile(path) for name, path in paths.items()}
        self._shown = shown
        self._width = max(map(len, paths))
        self._coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def print_new(self) -> None:
        """Print the lines added since the last call, each after its process's name."""
        for number, (name, file) in enumerate(self._files.items()):
            if name in self._shown:
                prefix = self._prefix(number, name)
                for line in file.new_lines():
                    print(prefix + line)
        sys.stdout.flush()

    def exits(self) -> Counter[str]:
        """How often each process exited unexpectedly, according to the supervisor's log."""
        lines = self._files["supervisor"].tail(1_000)
        return Counter(match[1] for line in lines if (match := _EXITED.search(line)))

    def explain(self) -> str:
        """Return the last lines of those processes that ended, or of all if none did."""
        ended = set(self.exits())
        parts = []
        for name, file in self._files.items():
            if (not ended or name in ended | {"supervisor"}) and (lines := file.tail(_TAIL_LINES)):
                parts.append("\n".join([f"--- last lines of {name}", *lines]))
        return "\n".join(parts)

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()

    def _prefix(self, number: int, name: str) -> str:
        text = f"{name:<{self._width}} | "
        colour = _COLOURS[number % len(_COLOURS)]
        return f"\x1b[{colour}m{text}\x1b[0m" if self._coloured else text
