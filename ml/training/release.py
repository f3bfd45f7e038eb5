"""Writes a model version: weights, tokenizer, and the manifest with their hashes."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from ml.moderation.features import Featuriser
from ml.moderation.models.rules import Rules
from ml.registry import MANIFEST, Artifacts
from ml.training.config import Config
from ml.training.fitting.terms import as_json


@dataclass(slots=True)
class Release:
    """A version that is being written under a temporary name; `publish` makes it final."""

    models: Path
    version: str
    config: Config
    tiers: dict[str, dict[str, Any]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return self.models / self.config.pipeline / f".{self.version}.part" / self.version

    @property
    def final(self) -> Path:
        return self.models / self.config.pipeline / self.version

    def begin(self, tokenizer: str, featuriser: Featuriser) -> None:
        """Start a version; raises FileExistsError if it exists: versions never change."""
        if self.final.exists():
            raise FileExistsError(f"{self.final} exists; versions never change, choose another")
        shutil.rmtree(self.path.parent, ignore_errors=True)
        self.path.mkdir(parents=True)
        (self.path / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
        self.facts["features"] = {
            "fingerprint": featuriser.fingerprint(),
            "tokens": featuriser.tokenizer.size,
        }

    def add_model(
        self, name: str, packed: Mapping[str, Tensor], sizes: Any, calibration: tuple[float, float]
    ) -> None:
        """Add a learned tier with the tensors that `ml.quantization.weights.compress` returns."""
        file = f"{name}.safetensors"
        save_file(dict(packed), self.path / file)
        self.tiers[name] = {"file": file, "config": asdict(sizes), "calibration": list(calibration)}

    def add_rules(self, rules: Rules) -> None:
        text = json.dumps(as_json(rules), ensure_ascii=False, indent=0)
        (self.path / "rules.json").write_text(text, encoding="utf-8")
        self.tiers["rules"] = {"file": "rules.json"}

    def artifacts(self) -> Artifacts:
        """The unfinished version, to be loaded and measured before it is final."""
        self._write_manifest()
        return Artifacts.open(self.path)

    def publish(self) -> Path:
        self._write_manifest()
        self.path.replace(self.final)
        self.path.parent.rmdir()
        return self.final

    def _write_manifest(self) -> None:
        files = sorted(path for path in self.path.iterdir() if path.name != MANIFEST)
        manifest = {
            "pipeline": self.config.pipeline,
            "version": self.version,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "classes": list(self.config.classes),
            "licence": self.config.licence,
            "model_card": self.config.model_card,
            "files": {path.name: file_entry(path) for path in files},
            "tiers": self.tiers,
            **self.facts,
            "training": {
                "config": json.loads(json.dumps(asdict(self.config), default=str)),
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
        }
        text = json.dumps(manifest, indent=1, ensure_ascii=False)
        (self.path / MANIFEST).write_text(text + "\n", encoding="utf-8")


def file_entry(path: Path) -> dict[str, Any]:
    """The manifest's entry for a file: its size and hash."""
    data = path.read_bytes()
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def derive_version(
    artifacts: Artifacts,
    version: str,
    texts: Mapping[str, str],
    facts: Mapping[str, Any],
    without: Collection[str] = (),
) -> Path:
    """Write a new version from `artifacts`: its files and facts, replaced or extended by these.

    It has a temporary name until it is complete. texts: files by name. without: files that are
    left out. Raises FileExistsError if the version exists: versions never change.
    """
    final = artifacts.path.parent / version
    if final.exists():
        raise FileExistsError(f"{final} exists; versions never change, choose another")
    part = final.with_name(f".{version}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    for name in artifacts.manifest["files"].keys() - texts.keys() - set(without):
        shutil.copyfile(artifacts.file(name), part / name)
    for name, text in texts.items():
        (part / name).write_text(text, encoding="utf-8")
    manifest = {
        **artifacts.manifest,
        "version": version,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "files": {path.name: file_entry(path) for path in sorted(part.iterdir())},
        "renews": artifacts.version,
        **facts,
    }
    text = json.dumps(manifest, indent=1, ensure_ascii=False)
    (part / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return part.rename(final)
