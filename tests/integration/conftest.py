from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.stack import Stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything that `make up` starts but Flower, with moderation from the cnn down."""
    stack = Stack(tmp_path_factory.mktemp("stack"), "tests.pipelines:moderation")
    try:
        stack.start_all()
        yield stack
    finally:
        stack.stop_all()
