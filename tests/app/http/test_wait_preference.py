from __future__ import annotations

import pytest
from flask import Flask

from app.http.errors import BadRequest
from app.http.wait_preference import preferred_wait, query_wait


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("wait=10", 10),
        ("WAIT = 10", 10),
        ('wait="10"', 10),
        ("respond-async, wait=10", 10),
        ("wait=10; x=1, handling=lenient", 10),
        ("wait=61", 60),
        ("wait=999999999", 60),
        ("wait=0", 0),
        ("wait=9999999999", None),
        ("wait=-1", None),
        ("wait=1.5", None),
        ("wait=ten", None),
        ("await=10", None),
        ("", None),
    ],
)
def test_the_preferred_wait_in_seconds(app: Flask, header: str, seconds: int | None) -> None:
    with app.test_request_context(headers={"Prefer": header}):
        assert preferred_wait(60) == seconds


@pytest.mark.parametrize(("query", "seconds"), [("wait=10", 10), ("wait=061", 60), ("", 0)])
def test_the_wait_of_a_query_in_seconds(app: Flask, query: str, seconds: int) -> None:
    with app.test_request_context(query_string=query):
        assert query_wait(60) == seconds


def test_a_wait_that_is_no_number_is_refused_by_name(app: Flask) -> None:
    with app.test_request_context(query_string="wait=soon"), pytest.raises(BadRequest) as caught:
        query_wait(60)
    (error,) = caught.value.errors
    assert error["parameter"] == "wait"
    assert "60" in error["detail"]
