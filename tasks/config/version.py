"""The version of Penstock; pyproject.toml says the same."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"
RELEASE: Final = f"penstock@{VERSION}"
