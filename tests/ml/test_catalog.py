"""Pipelines by import path."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ml.catalog import CatalogError, load_pipelines


def test_pipelines_come_by_name_in_the_order_of_their_targets() -> None:
    found = load_pipelines(["ml.null:pipeline", "ml.moderation.pipeline:pipeline"])
    assert list(found) == ["null", "moderation"]


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        ("ml.null", 'must look like "package.module:attribute"'),
        ("ml.nothing:pipeline", "ml.nothing"),
        ("ml.null:nothing", "has no attribute 'nothing'"),
        ("ml.null:NullTier", "is a ABCMeta, not a Pipeline"),
    ],
)
def test_a_wrong_target_is_named_with_what_is_wrong(target: str, complaint: str) -> None:
    with pytest.raises(CatalogError) as raised:
        load_pipelines([target])
    assert target in str(raised.value)
    assert complaint in str(raised.value)


def test_two_pipelines_cannot_share_a_name() -> None:
    with pytest.raises(CatalogError, match="the name 'null' is taken already"):
        load_pipelines(["ml.null:pipeline", "ml.null:pipeline"])


def test_declaring_pipelines_loads_neither_torch_nor_tokenizers() -> None:
    code = (
        "import sys; from ml.catalog import load_pipelines;"
        "load_pipelines(['ml.null:pipeline', 'ml.moderation.pipeline:pipeline']);"
        "print(sorted({m.split('.')[0] for m in sys.modules}"
        " & {'torch', 'tokenizers', 'numpy', 'emoji', 'safetensors'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
