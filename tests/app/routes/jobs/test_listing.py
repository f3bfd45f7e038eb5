from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.factory import create_app
from app.schemas.list_query import make_cursor
from tasks.config.settings import Settings
from tasks.jobs.model import Status
from tasks.store.client import Store
from tests.app.answers import JOB_MEMBERS, details, problem_in
from tests.app.conftest import client_of
from tests.listed import add, id_at

OWNER = "default"


def page_in(client: FlaskClient, **query: str) -> dict[str, Any]:
    response = client.get("/v1/jobs", query_string=query)
    assert response.status_code == 200, response.text
    assert response.content_type == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    page: dict[str, Any] = response.get_json()
    assert set(page) == {"jobs", "next_cursor"}
    assert all(set(job) == JOB_MEMBERS for job in page["jobs"])
    return page


def ids(page: dict[str, Any]) -> list[str]:
    return [job["id"] for job in page["jobs"]]


def wrong(client: FlaskClient, **query: str) -> dict[str, str]:
    response = client.get("/v1/jobs", query_string=query)
    return details(problem_in(response, 400, "invalid_request"))


def test_without_jobs_the_list_is_empty_and_ends(client: FlaskClient) -> None:
    assert page_in(client) == {"jobs": [], "next_cursor": None}


def test_20_jobs_are_a_page_unless_asked_otherwise(client: FlaskClient, store: Store) -> None:
    job_ids = add(store, range(120), owner=OWNER)
    assert ids(page_in(client)) == job_ids[:20]
    assert ids(page_in(client, limit="1")) == job_ids[:1]
    assert ids(page_in(client, limit="100")) == job_ids[:100]


def test_the_cursor_leads_through_all_pages(client: FlaskClient, store: Store) -> None:
    job_ids = add(store, range(25), owner=OWNER)
    found: list[str] = []
    query = {"limit": "10"}
    while True:
        page = page_in(client, **query)
        found += ids(page)
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert found == job_ids


def test_the_link_header_leads_through_all_pages_and_keeps_the_filters(
    client: FlaskClient, store: Store
) -> None:
    failed = add(store, range(0, 30, 2), Status.FAILED, OWNER)
    add(store, range(1, 30, 2), Status.RUNNING, OWNER)
    after = "2026-01-01T00:00:00.009+00:00"
    query = {"status": "failed", "limit": "4", "created_after": after}
    response = client.get("/v1/jobs", query_string=query)
    found = ids(response.get_json())
    while "Link" in response.headers:
        link = re.fullmatch(r'<(/v1/jobs\?[^>]+)>; rel="next"', response.headers["Link"])
        assert link
        response = client.get(link[1])
        found += ids(response.get_json())
    assert response.get_json()["next_cursor"] is None
    assert found == [job_id for job_id in failed if job_id >= id_at(10)]


@pytest.mark.parametrize(
    "moment",
    [
        "2026-01-01T00:00:00.006Z",
        "2026-01-01t00:00:00.006z",
        "2026-01-01 00:00:00.006Z",
        "2026-01-01T01:00:00.006000000+01:00",
        "2026-01-01T01:00:00.006 01:00",
        "2025-12-31T22:30:00.006-01:30",
    ],
)
def test_a_moment_is_read_however_rfc_3339_writes_it(
    client: FlaskClient, store: Store, moment: str
) -> None:
    add(store, range(10), owner=OWNER)
    assert ids(page_in(client, created_after=moment)) == [id_at(9), id_at(8), id_at(7)]
    assert ids(page_in(client, created_before=moment)) == [id_at(n) for n in range(5, -1, -1)]


@pytest.mark.parametrize(
    "moment",
    [
        *("", "yesterday", "2026-01-01", "1767225600", "2026-01-01T00:00:00", "20260101T000000Z"),
        *("2026-13-01T00:00:00Z", "2026-01-01T25:00:00Z", "2026-01-01T00:00:00+99:00"),
        *("0000-01-01T00:00:00Z", "2026-01-01T00:00:00.Z", "٢٠٢٦-01-01T00:00:00Z"),
    ],
)
def test_what_is_no_moment_is_refused_by_name(client: FlaskClient, moment: str) -> None:
    said = wrong(client, created_after=moment, created_before=moment)
    assert set(said) == {"created_after", "created_before"}
    assert all("RFC 3339, such as 2026-" in detail for detail in said.values())


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999999-14:00"]
)
def test_the_ends_of_time_are_moments(client: FlaskClient, store: Store, moment: str) -> None:
    job_ids = add(store, range(3), owner=OWNER)
    after, before = (
        page_in(client, **{name: moment}) for name in ("created_after", "created_before")
    )
    assert sorted([ids(after), ids(before)]) == [[], job_ids]


@pytest.mark.parametrize("limit", ["0", "101", "-1", "1.5", "", "ten", "1e2", "٣", "9" * 40])
def test_a_limit_out_of_bounds_is_refused(client: FlaskClient, limit: str) -> None:
    assert wrong(client, limit=limit) == {"limit": "Must be a whole number between 1 and 100."}


def test_the_largest_page_is_a_setting(settings: Settings, store: Store) -> None:
    add(store, range(20), owner=OWNER)
    client = client_of(create_app(replace(settings, max_page=7)))
    assert len(page_in(client)["jobs"]) == 7
    assert wrong(client, limit="8") == {"limit": "Must be a whole number between 1 and 7."}


@pytest.mark.parametrize(
    "cursor",
    [
        *("", "nonsense", id_at(1), "A" * 22, "A" * 23, "A" * 24, "A" * 10_000, "é" * 23),
        make_cursor(id_at(1)) + "=",
        "Ag" + make_cursor(id_at(1))[2:],  # of another version
        make_cursor(id_at(1)).replace("A", "+"),
    ],
)
def test_a_malformed_cursor_is_refused_by_name(client: FlaskClient, cursor: str) -> None:
    assert "next_cursor of an earlier page" in wrong(client, cursor=cursor)["cursor"]


def test_an_unknown_status_is_refused_with_the_known_ones(client: FlaskClient) -> None:
    said = wrong(client, status="done")
    assert said == {
        "status": "Must be one of: queued, running, succeeded, failed, cancelled, expired."
    }


def test_everything_wrong_is_named_at_once(client: FlaskClient) -> None:
    said = wrong(client, status="x", limit="x", cursor="x", created_after="x", created_before="x")
    assert set(said) == {"status", "limit", "cursor", "created_after", "created_before"}


def test_another_owners_jobs_are_not_listed(client: FlaskClient, store: Store) -> None:
    add(store, range(3), owner="another")
    assert page_in(client)["jobs"] == []


def test_a_cursor_of_another_owner_shows_none_of_its_jobs(
    client: FlaskClient, store: Store
) -> None:
    add(store, range(5), owner="another")
    mine = add(store, [0], owner=OWNER)
    assert ids(page_in(client, cursor=make_cursor(id_at(4)))) == mine


def test_the_list_needs_a_key(app: Flask) -> None:
    problem_in(app.test_client().get("/v1/jobs"), 401, "unauthorized")
