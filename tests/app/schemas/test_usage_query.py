"""The days and owners that the query of GET /v1/usage may ask for."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.schemas.usage_query import day_of
from tasks.store.client import Store
from tests.app.answers import details, problem_in
from tests.app.used import add, date_of, usage


def wrong(client: FlaskClient, **query: str) -> dict[str, str]:
    response = client.get("/v1/usage", query_string=query)
    return details(problem_in(response, 400, "invalid_request"))


def test_a_number_of_days_ends_with_today(client: FlaskClient, store: Store, now: int) -> None:
    for day in range(93):
        add(store, now - day, jobs=1)
    for days in (1, 2, 93):
        found = usage(client, days=str(days))
        assert (found["from"], found["to"]) == (date_of(now - days + 1), date_of(now))
        assert found["total"]["jobs"] == len(found["days"]) == days


def test_from_and_to_are_both_included(client: FlaskClient, store: Store, now: int) -> None:
    for day in range(5):
        add(store, now - day, jobs=1)
    query = {"from": date_of(now - 3), "to": date_of(now - 1)}
    found = usage(client, **query)
    assert (found["from"], found["to"]) == (query["from"], query["to"])
    dates = [date_of(now - 3), date_of(now - 2), date_of(now - 1)]
    assert [row["date"] for row in found["days"]] == dates
    assert usage(client, **{"from": date_of(now - 3)})["to"] == date_of(now)
    whole = usage(client, **{"from": date_of(now - 92), "to": date_of(now)})
    assert whole["total"]["jobs"] == 5


@pytest.mark.parametrize("days", ["", "0", "94", "-1", "1.5", "ten", "٣", "9" * 40])
def test_a_number_of_days_out_of_bounds_is_refused(client: FlaskClient, days: str) -> None:
    assert wrong(client, days=days) == {"days": "Must be a whole number between 1 and 93."}


@pytest.mark.parametrize(
    "day", ["", "today", "2026-02-30", "20260101", "2026-W01-1", "2026-1-1", "٢٠٢٦-01-01"]
)
def test_what_is_no_day_is_refused_by_name(client: FlaskClient, day: str) -> None:
    said = "Must be a day such as 2026-01-31."
    assert wrong(client, **{"from": day, "to": day}) == {"from": said, "to": said}


def test_days_beyond_what_is_kept_are_refused(client: FlaskClient, store: Store, now: int) -> None:
    said = f"Must be between {date_of(now - 92)} and today, {date_of(now)} in UTC."
    query = {"from": date_of(now - 93), "to": (day_of(now) + timedelta(1)).isoformat()}
    assert wrong(client, **query) == {"from": said, "to": said}
    query = {"from": "0001-01-01", "to": "9999-12-31"}
    assert wrong(client, **query) == {"from": said, "to": said}


def test_days_that_contradict_each_other_are_refused(
    client: FlaskClient, store: Store, now: int
) -> None:
    day = date_of(now)
    before = date_of(now - 1)
    assert wrong(client, **{"from": day, "to": before}) == {"from": "Must not be after to."}
    assert wrong(client, to=day) == {"from": "Must be given with to."}
    said = {"days": "Give either days, or from and to."}
    assert wrong(client, **{"days": "3", "from": day}) == said
    assert wrong(client, days="3", to=day) == said | {"from": "Must be given with to."}


@pytest.mark.parametrize("owner", ["", "a b", "a" * 65, "a:b", "é", "a\n"])
def test_what_can_be_no_owner_is_refused(client: FlaskClient, owner: str) -> None:
    assert wrong(client, owner=owner) == {"owner": "Must be 1 to 64 letters, digits, '_' or '-'."}


def test_everything_wrong_is_named_at_once(client: FlaskClient) -> None:
    said = wrong(client, **{"days": "x", "from": "x", "to": "x", "owner": ""})
    assert set(said) == {"days", "from", "to", "owner"}


def test_usage_needs_a_key(app: Flask) -> None:
    problem_in(app.test_client().get("/v1/usage"), 401, "unauthorized")
