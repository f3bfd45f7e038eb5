"""A headless Chromium for the tests of pages: Debian's, driven by playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = "chromium"
ARGUMENTS = (
    "--headless",
    "--no-sandbox",  # tests may run as root, where Chromium has none; all they open is ours
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
MISSING = (
    "no chromium on this machine: apt-get install chromium, or as root .ci/packages; "
    'without it, pytest -m "not browser"'
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test in this folder needs a browser."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where Chromium is. Where it is not, a developer's tests are skipped and those of CI fail."""
    found = shutil.which(CHROMIUM)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    return found


@pytest.fixture(scope="module")  # while playwright runs, no other test can run an event loop
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page in a context of its own: no cookie and no password of another test."""
    with browser.new_context(locale="en-GB", timezone_id="UTC") as context:
        yield context.new_page()
