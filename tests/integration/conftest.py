from __future__ import annotations

from collections.abc import Iterator

import pytest

from tasks.webhooks.signing_secrets import new_secret
from tests.stack import Stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Most of what `make up` starts, as it sets webhooks up, with moderation from the cnn down."""
    stack = Stack(
        tmp_path_factory.mktemp("stack"),
        "tests.pipelines:moderation",
        webhook_secret=new_secret(),
        webhook_http_hosts=("localhost", "127.0.0.1"),
    )
    try:
        stack.start_all()
        yield stack
    finally:
        stack.stop_all()
