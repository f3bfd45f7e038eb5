"""Labelled rows from CSV files."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from ml.training.data.rows import Columns, read


def test_plain_and_gzipped_files_are_read_alike(tmp_path: Path) -> None:
    text = 'text,action,source\n"a, ""b""\nc",allow,x\n'
    (tmp_path / "a.csv").write_text(text)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(text.encode()))
    for name in ("a.csv", "a.csv.gz"):
        split = read(tmp_path / name)
        assert (split.texts, split.labels, split.sources) == (['a, "b"\nc'], ["allow"], ["x"])


def test_without_a_source_column_all_rows_are_one_source(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("body,y\nhi,ok\n")
    assert read(tmp_path / "a.csv", Columns("body", "y", "")).sources == ["all"]


def test_a_missing_column_is_named_with_those_there_are(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("body,y\nhi,ok\n")
    with pytest.raises(ValueError, match=r"no column \['text'\]; it has \['body', 'y'\]"):
        read(tmp_path / "a.csv", Columns("text", "y", ""))


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,action,source\n")
    with pytest.raises(ValueError, match="no rows"):
        read(tmp_path / "a.csv")


def test_a_label_that_is_no_class_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,action,source\nhi,alow,x\n")
    with pytest.raises(ValueError, match=r"labels \['alow'\] are not among"):
        read(tmp_path / "a.csv").indices(["allow"])
