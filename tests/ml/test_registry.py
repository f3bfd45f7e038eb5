"""Model versions are verified before they are used."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from ml.registry import ArtifactError, Artifacts


def version(folder: Path, directory: str = "v1", **changes: Any) -> Path:
    path = folder / "toy" / directory
    path.mkdir(parents=True)
    (path / "weights.bin").write_bytes(b"weights")
    manifest = {
        "version": directory,
        "features": {"fingerprint": "f00d"},
        "files": {"weights.bin": {"sha256": hashlib.sha256(b"weights").hexdigest(), "bytes": 7}},
    }
    (path / "manifest.json").write_text(json.dumps(manifest | changes))
    return path


def test_the_default_file_names_the_version_served(tmp_path: Path) -> None:
    version(tmp_path, "v1")
    version(tmp_path, "v2")
    (tmp_path / "toy" / "default").write_text("v2\n")
    assert Artifacts.default("toy", tmp_path).version == "v2"


def test_without_a_default_the_error_names_the_file_to_write(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="toy/default must name the version to serve"):
        Artifacts.default("toy", tmp_path)


def test_a_sound_file_is_given_by_its_path(tmp_path: Path) -> None:
    path = version(tmp_path)
    assert Artifacts.open(path).file("weights.bin") == path / "weights.bin"


def test_a_changed_file_is_refused_with_both_checksums(tmp_path: Path) -> None:
    path = version(tmp_path)
    (path / "weights.bin").write_bytes(b"other weights")
    found = hashlib.sha256(b"other weights").hexdigest()
    listed = hashlib.sha256(b"weights").hexdigest()
    with pytest.raises(ArtifactError, match=f"has SHA-256 {found}, its manifest says {listed}"):
        Artifacts.open(path).file("weights.bin")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    path = version(tmp_path)
    (path / "weights.bin").unlink()
    with pytest.raises(ArtifactError, match=r"weights\.bin is missing"):
        Artifacts.open(path).file("weights.bin")


def test_a_file_that_the_manifest_does_not_list_is_refused(tmp_path: Path) -> None:
    path = version(tmp_path)
    (path / "extra.bin").write_bytes(b"")
    with pytest.raises(ArtifactError, match=r"lists no file 'extra.bin'"):
        Artifacts.open(path).file("extra.bin")


def test_a_directory_without_a_readable_manifest_is_refused(tmp_path: Path) -> None:
    path = version(tmp_path)
    (path / "manifest.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"manifest.json cannot be read"):
        Artifacts.open(path)


def test_a_manifest_of_another_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="says version 'v9', its directory 'v1'"):
        Artifacts.open(version(tmp_path, version="v9"))


def test_other_features_are_refused_with_both_fingerprints(tmp_path: Path) -> None:
    artifacts = Artifacts.open(version(tmp_path))
    artifacts.require_features("f00d")
    with pytest.raises(ArtifactError, match="features f00d, this code computes beef"):
        artifacts.require_features("beef")
