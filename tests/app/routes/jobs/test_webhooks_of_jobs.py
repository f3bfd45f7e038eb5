"""`webhook` of a job: checked when it is submitted, told of when the job ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.factory import create_app
from tasks.config.settings import Settings
from tasks.jobs.read import read_job
from tasks.store.client import Store
from tasks.webhooks.deliveries import deliveries_of
from tasks.webhooks.endpoints import EVENTS
from tests.app.answers import NULL_JOB, details, job_in, problem_in, stored
from tests.app.hooks import URL
from tests.app.keys import with_key


def with_webhook(**webhook: Any) -> dict[str, Any]:
    return {**NULL_JOB, "webhook": webhook}


def events_of(store: Store, job_id: str) -> list[str]:
    return [one.event for one in deliveries_of(store, job_id)]


def test_it_is_kept_with_the_job_and_not_shown(client: FlaskClient, store: Store) -> None:
    submitted = client.post("/v1/jobs", json=with_webhook(url=URL))
    job = job_in(submitted, 202)
    assert "example.com" not in submitted.text
    kept = read_job(store, job["id"])
    assert kept is not None
    assert kept.spec.webhook == {"url": URL, "events": list(EVENTS)}
    assert job["links"]["deliveries"] == f"/v1/jobs/{job['id']}/deliveries"


@pytest.mark.parametrize(
    ("events", "told"), [(None, 1), (["job.succeeded"], 1), (["job.failed"], 0)]
)
def test_the_end_of_the_job_queues_a_delivery_of_the_events_asked_for(
    client: FlaskClient,
    store: Store,
    work: Callable[[], int],
    events: list[str] | None,
    told: int,
) -> None:
    webhook = {"url": URL} if events is None else {"url": URL, "events": events}
    job_id = job_in(client.post("/v1/jobs", json=with_webhook(**webhook)), 202)["id"]
    work()
    assert events_of(store, job_id) == ["job.succeeded"] * told


def test_cancelled_and_cached_jobs_send_webhooks_too(
    client: FlaskClient, store: Store, work: Callable[[], int]
) -> None:
    job_id = job_in(client.post("/v1/jobs", json=with_webhook(url=URL)), 202)["id"]
    client.post(f"/v1/jobs/{job_id}/cancel")
    assert events_of(store, job_id) == ["job.cancelled"]
    echo = {"pipeline": "echo", "input": {"text": "again"}, "webhook": {"url": URL}}
    job_in(client.post("/v1/jobs", json=echo), 202)
    work()
    hit = job_in(client.post("/v1/jobs", json=echo), 200)
    assert hit["cached"] is True
    assert events_of(store, hit["id"]) == ["job.succeeded"]


def test_a_bulk_job_may_have_one_as_well(
    client: FlaskClient, store: Store, work: Callable[[], int]
) -> None:
    bulk = {"pipeline": "null", "inputs": [{"text": "a"}, {"text": "b"}], "webhook": {"url": URL}}
    job_id = job_in(client.post("/v1/jobs", json=bulk), 202)["id"]
    work()
    assert events_of(store, job_id) == ["job.succeeded"]


BAD = [
    ({}, "/webhook/url", "required"),
    ({"url": None}, "/webhook/url", "string"),
    ({"url": ""}, "/webhook/url", "plain ASCII"),
    ({"url": "example.com/hook"}, "/webhook/url", "Must begin with https:// and a host."),
    ({"url": "ftp://example.com/"}, "/webhook/url", "Must begin with https:// and a host."),
    ({"url": "http://example.com/"}, "/webhook/url", "Must begin with https://."),
    ({"url": "http://127.0.0.1/"}, "/webhook/url", "Must begin with https://."),
    ({"url": "https://127.0.0.1/"}, "/webhook/url", "private or reserved"),
    ({"url": "https://[::1]/"}, "/webhook/url", "private or reserved"),
    ({"url": "https://169.254.169.254/latest"}, "/webhook/url", "private or reserved"),
    ({"url": "https://0x7f000001/"}, "/webhook/url", "four decimal numbers"),
    ({"url": "https://localhost/"}, "/webhook/url", "public host"),
    ({"url": "https://db.internal/"}, "/webhook/url", "public host"),
    ({"url": "https://example.com:22/"}, "/webhook/url", "ports 443"),
    ({"url": "https://u@example.com/"}, "/webhook/url", "user name"),
    ({"url": "https://example.com/" + "x" * 2_048}, "/webhook/url", "at most 2048"),
    ({"url": URL, "events": []}, "/webhook/events", "at least one"),
    ({"url": URL, "events": ["job.done"]}, "/webhook/events/0", "one of: job.succeeded"),
    ({"url": URL, "secret": "x"}, "/webhook/secret", "there are url and events"),
]


@pytest.mark.parametrize(("webhook", "pointer", "said"), BAD)
def test_a_bad_one_is_refused_by_name_and_nothing_is_stored(
    client: FlaskClient, store: Store, webhook: dict[str, Any], pointer: str, said: str
) -> None:
    problem = problem_in(
        client.post("/v1/jobs", json=with_webhook(**webhook)), 400, "invalid_request"
    )
    assert list(details(problem)) == [pointer]
    assert said in details(problem)[pointer]
    assert stored(store) == []


@pytest.mark.parametrize("webhook", [None, "https://example.com/", [], True])
def test_it_must_be_an_object(client: FlaskClient, webhook: Any) -> None:
    body = {**NULL_JOB, "webhook": webhook}
    problem = problem_in(client.post("/v1/jobs", json=body), 400, "invalid_request")
    assert list(details(problem)) == ["/webhook"]


def test_hosts_that_the_operator_names_may_have_http(settings: Settings, store: Store) -> None:
    app = create_app(replace(settings, webhook_http_hosts=("127.0.0.1",)))
    client = with_key(app, settings.api_key)
    body = with_webhook(url="http://127.0.0.1:8099/hook")
    job_in(client.post("/v1/jobs", json=body), 202)
    problem_in(
        client.post("/v1/jobs", json=with_webhook(url="http://10.0.0.1/")), 400, "invalid_request"
    )


def test_no_name_is_looked_up_when_a_job_is_submitted(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a name was looked up")

    monkeypatch.setattr("socket.getaddrinfo", refuse)
    job_in(client.post("/v1/jobs", json=with_webhook(url="https://nowhere.invalid/")), 202)


@pytest.mark.parametrize("name", ["webhook", "webhook_url", "webhook_events"])
def test_an_upload_takes_none_since_queries_are_logged(client: FlaskClient, name: str) -> None:
    response = client.post(
        f"/v1/jobs?pipeline=null&{name}={URL}",
        data=b'{"text": "a"}\n',
        headers={"Content-Type": "application/x-ndjson"},
    )
    problem = problem_in(response, 400, "invalid_request")
    assert name in details(problem)
