"""`flask webhooks`: what was given up, and trying it again."""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask
from flask.testing import FlaskClient

from tasks.store.client import Store
from tasks.webhooks.deliveries import Result, deliveries_of
from tests.app.answers import NULL_JOB, job_in
from tests.app.hooks import URL, attempted


def given_up(client: FlaskClient, store: Store, work: Callable[[], int], status: int) -> str:
    """A failed delivery to a receiver that answered with `status`."""
    job = job_in(client.post("/v1/jobs", json={**NULL_JOB, "webhook": {"url": URL}}), 202)
    work()
    attempted(store, Result.FAILED, status=status, error="bad_status")
    (delivery,) = deliveries_of(store, job["id"])
    return delivery.id


def test_what_was_given_up_is_listed_newest_first_and_tried_again_by_command(
    app: Flask, client: FlaskClient, store: Store, work: Callable[[], int]
) -> None:
    older, newer = (given_up(client, store, work, status) for status in (500, 404))
    runner = app.test_cli_runner()
    listed = runner.invoke(args=["webhooks", "dead"]).output.splitlines()
    assert [line.split()[1] for line in listed] == [newer, older]
    assert listed[0].endswith("  default  job.succeeded  1 attempts  bad_status 404")
    assert URL not in "".join(listed)
    retried = runner.invoke(args=["webhooks", "retry", newer])
    assert (retried.exit_code, retried.output) == (0, f"{newer} is retried.\n")
    assert attempted(store, Result.FAILED, status=503, error="bad_status") == [newer]
    listed = runner.invoke(args=["webhooks", "dead"]).output.splitlines()
    assert [line.split()[1] for line in listed] == [newer, older]
    runner.invoke(args=["webhooks", "retry", newer])
    attempted(store, Result.SUCCEEDED, status=200)
    listed = runner.invoke(args=["webhooks", "dead"]).output.splitlines()
    assert [line.split()[1] for line in listed] == [older]


def test_retrying_an_unknown_delivery_says_so(app: Flask, store: Store) -> None:
    refused = app.test_cli_runner().invoke(args=["webhooks", "retry", "msg_1"])
    assert refused.exit_code == 1
    assert "There is no delivery msg_1; `flask webhooks dead` lists" in refused.output
