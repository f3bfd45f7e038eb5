from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.report import MEASURED, Report
from tests.stack import Stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything with default settings and a torch-free pipeline at the pace of a real model."""
    stack = Stack(tmp_path_factory.mktemp("faults"), "tests.pipelines:slow")
    try:
        stack.start_all()
        yield stack
    finally:
        stack.stop_all()


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    return Report(request.config.stash.setdefault(MEASURED, []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if rows := terminalreporter.config.stash.get(MEASURED, []):
        terminalreporter.section("faults: what was measured")
        for fault, figures in rows:
            terminalreporter.write_line(f"{fault}: {figures}")
