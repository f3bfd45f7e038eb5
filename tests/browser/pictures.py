"""The pictures of docs/img, taken by tests: PENSTOCK_SCREENSHOTS=1 pytest tests/browser."""

from __future__ import annotations

import os
from pathlib import Path

from playwright.sync_api import Page

FOLDER = Path(__file__).parents[2] / "docs/img"


def picture(page: Page, name: str) -> None:
    """Write docs/img/`name`.png of what the page shows; nothing unless the variable is set."""
    if os.environ.get("PENSTOCK_SCREENSHOTS"):
        page.screenshot(path=FOLDER / f"{name}.png")
