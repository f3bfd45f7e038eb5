from __future__ import annotations

from collections.abc import Iterator

import pytest

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
