"""Labelled rows from CSV files."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the columns to read; with an empty `source`, all rows count as one source."""

    text: str = "text"
    label: str = "action"
    source: str = "source"


@dataclass(frozen=True, slots=True)
class Split:
    """One file of rows, column by column."""

    texts: list[str]
    labels: list[str]
    sources: list[str]
    sha256: str

    def __len__(self) -> int:
        return len(self.texts)

    def indices(self, classes: Sequence[str]) -> list[int]:
        """Each row's class as an index; raises ValueError on a label that is not a class."""
        index = {name: n for n, name in enumerate(classes)}
        unknown = sorted(set(self.labels) - set(index))
        if unknown:
            raise ValueError(f"labels {unknown} are not among the classes {list(classes)}")
        return [index[label] for label in self.labels]


def read(path: Path, columns: Columns = Columns()) -> Split:
    """Read the rows of a CSV file, gzipped or not.

    Raises ValueError naming the file and the column if one is missing or there are no rows.
    """
    raw = path.read_bytes()
    text = gzip.decompress(raw) if path.suffix == ".gz" else raw
    reader = csv.DictReader(io.StringIO(text.decode("utf-8"), newline=""))
    wanted = [c for c in (columns.text, columns.label, columns.source) if c]
    missing = [c for c in wanted if c not in (reader.fieldnames or [])]
    if missing:
        raise ValueError(f"{path}: no column {missing}; it has {reader.fieldnames}")
    rows = list(reader)
    if not rows:
        raise ValueError(f"{path}: no rows")
    return Split(
        texts=[row[columns.text] for row in rows],
        labels=[row[columns.label] for row in rows],
        sources=[row[columns.source] if columns.source else "all" for row in rows],
        sha256=hashlib.sha256(raw).hexdigest(),
    )
