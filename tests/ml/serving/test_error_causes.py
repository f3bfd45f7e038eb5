"""What a log has of an error: all but its text."""

from __future__ import annotations

import pytest

from ml.serving.error_causes import error_location, stack_of

SENT = "nobody's business"


def fail(text: str) -> None:
    raise ValueError(text)


@pytest.fixture
def error() -> ValueError:
    with pytest.raises(ValueError, match=SENT) as raised:
        fail(SENT)
    return raised.value


def test_an_error_is_told_by_its_type_and_place(error: ValueError) -> None:
    assert error_location(error).startswith("ValueError in fail (test_error_causes.py:")
    assert error_location(ValueError(SENT)) == "ValueError"


def test_a_stack_has_its_frames_and_not_its_text(error: ValueError) -> None:
    assert "in fail\n" in stack_of(error)
    assert stack_of(error).endswith("ValueError")
    assert SENT not in stack_of(error)
