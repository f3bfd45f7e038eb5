"""Writing a version again with another file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ml.registry import ArtifactError, Artifacts
from ml.training.release import derive_version, file_entry


def version(folder: Path) -> Artifacts:
    path = folder / "one"
    path.mkdir()
    for name in ("weights", "old"):
        (path / name).write_text(name)
    files = {name: file_entry(path / name) for name in ("weights", "old")}
    manifest = {"version": "one", "files": files, "policy": {"block": 0.5}}
    (path / "manifest.json").write_text(json.dumps(manifest))
    return Artifacts.open(path)


def test_a_renewed_version_has_the_files_and_facts_of_the_old_one_and_the_new(
    tmp_path: Path,
) -> None:
    path = derive_version(
        version(tmp_path), "two", {"more": "text"}, {"routing": {}}, without={"old"}
    )
    found = Artifacts.open(path)
    assert found.version == "two"
    assert found.file("weights").read_text() == "weights"
    assert found.file("more").read_text() == "text"
    assert found.manifest["files"].keys() == {"weights", "more"}
    assert found.manifest["policy"] == {"block": 0.5}
    assert (found.manifest["renews"], found.manifest["routing"]) == ("one", {})


def test_a_version_that_exists_is_not_written_again(tmp_path: Path) -> None:
    old = version(tmp_path)
    with pytest.raises(FileExistsError, match="choose another"):
        derive_version(old, "one", {}, {})


def test_a_damaged_file_is_not_vouched_for_anew(tmp_path: Path) -> None:
    old = version(tmp_path)
    (old.path / "weights").write_text("other")
    with pytest.raises(ArtifactError, match="weights"):
        derive_version(old, "two", {}, {})
