"""Model registry on disk: a version is a directory of files, verified against its manifest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:  # torch is imported by the workers that load weights, not by the API
    from torch import Tensor

MODELS: Final = Path(__file__).resolve().parent.parent / "models"
MANIFEST: Final = "manifest.json"
DEFAULT: Final = "default"  # names the version served; the one line to change for a switch


class ArtifactError(Exception):
    """A model version failed verification; the text says which file and why."""


@dataclass(frozen=True, slots=True)
class Artifacts:
    """One immutable model version: `<models>/<pipeline>/<version>/`."""

    path: Path
    manifest: Mapping[str, Any]

    @classmethod
    def open(cls, path: Path) -> Artifacts:
        """The version at `path`; raises ArtifactError without a readable manifest."""
        try:
            manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ArtifactError(f"{path / MANIFEST} cannot be read: {error}") from error
        if manifest.get("version") != path.name:
            raise ArtifactError(
                f"{path / MANIFEST} says version {manifest.get('version')!r}, "
                f"its directory {path.name!r}"
            )
        return cls(path, manifest)

    @classmethod
    def default(cls, pipeline: str, models: Path = MODELS) -> Artifacts:
        """The version that `<models>/<pipeline>/default` names."""
        pointer = models / pipeline / DEFAULT
        try:
            version = pointer.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ArtifactError(f"{pointer} must name the version to serve: {error}") from error
        return cls.open(models / pipeline / version)

    @property
    def version(self) -> str:
        return str(self.manifest["version"])

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the feature code that this version was trained with."""
        return str(self.manifest["features"]["fingerprint"])

    def file(self, name: str) -> Path:
        """Path of a file of this version, its bytes checked against the manifest.

        Raises ArtifactError if it is not listed, is missing or has another SHA-256.
        """
        listed = self.manifest["files"].get(name)
        if listed is None:
            raise ArtifactError(f"{self.path}: the manifest lists no file {name!r}")
        path = self.path / name
        if not path.is_file():
            raise ArtifactError(f"{path} is missing")
        with path.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
        if found != listed["sha256"]:
            raise ArtifactError(f"{path} has SHA-256 {found}, its manifest says {listed['sha256']}")
        return path

    def weights(self, name: str) -> dict[str, Tensor]:
        """The tensors of a verified safetensors file, on the CPU."""
        from safetensors.torch import load_file  # noqa: PLC0415 (imports torch)

        return load_file(self.file(name))

    def require_features(self, fingerprint: str) -> None:
        """Raises ArtifactError unless this version was trained with these features."""
        if fingerprint != self.fingerprint:
            raise ArtifactError(
                f"{self.path.name} was trained with features {self.fingerprint}, "
                f"this code computes {fingerprint}: retrain it or serve a version that matches"
            )
