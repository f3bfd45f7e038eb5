from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Any

from flask.testing import FlaskClient

from tasks.store.client import Store
from tests.app.answers import job_in

Work = Callable[[], None]


def echo(text: str) -> dict[str, Any]:
    return {"pipeline": "echo", "input": {"text": text}}


def test_a_cached_answer_is_returned_at_once_and_marked_as_cached(
    client: FlaskClient, store: Store, work: Work
) -> None:
    first = job_in(client.post("/v1/jobs", json=echo("the same")), 202)
    work()
    response = client.post("/v1/jobs", json=echo("the same"))
    job = job_in(response, 200)
    assert job["id"] != first["id"]
    assert job["status"] == "succeeded"
    assert job["cached"] is True
    assert job["attempts"] == 0
    assert job["output"] == client.get(f"/v1/jobs/{first['id']}").get_json()["output"]
    assert response.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert store.redis.xlen("ps:lane:gpu:normal") == 0


def test_a_cached_job_is_kept_counted_and_read_like_any_other(
    client: FlaskClient, store: Store, work: Work
) -> None:
    client.post("/v1/jobs", json=echo("kept"))
    work()
    job = job_in(client.post("/v1/jobs", json=echo("kept")), 200)
    assert job_in(client.get(f"/v1/jobs/{job['id']}"), 200) == job
    assert store.redis.hgetall("ps:counts") == {"succeeded": "2"}
    assert 0 < store.redis.ttl(f"ps:job:{job['id']}") <= store.settings.result_ttl_s


def test_texts_that_are_equal_once_they_are_cleaned_share_an_answer(
    client: FlaskClient, work: Work
) -> None:
    client.post("/v1/jobs", json=echo("two words"))
    work()
    assert job_in(client.post("/v1/jobs", json=echo(" two\u0000 \n words ")), 200)["cached"]


def test_texts_in_different_normal_forms_share_an_answer(
    client: FlaskClient, store: Store, work: Work
) -> None:
    text = "Ångström café 각 ṩ"
    forms = {unicodedata.normalize(form, text) for form in ("NFC", "NFD")}
    forms.add(text.replace("Å", "\u212b"))  # the ångström sign
    assert len(forms) == 3
    first, *others = sorted(forms)
    client.post("/v1/jobs", json=echo(first))
    work()
    for other in others:
        assert job_in(client.post("/v1/jobs", json=echo(other)), 200)["cached"]
    assert len(list(store.redis.scan_iter("ps:cache:*"))) == 1


def test_another_text_is_not_answered_from_the_cache(client: FlaskClient, work: Work) -> None:
    client.post("/v1/jobs", json=echo("one text"))
    work()
    assert job_in(client.post("/v1/jobs", json=echo("another")), 202)["status"] == "queued"


def test_a_pipeline_without_a_cache_key_answers_nothing_from_the_cache(
    client: FlaskClient, store: Store, work: Work
) -> None:
    body = {"pipeline": "null", "input": {"text": "the same"}}
    client.post("/v1/jobs", json=body)
    work()
    job_in(client.post("/v1/jobs", json=body), 202)
    assert list(store.redis.scan_iter("ps:cache:*")) == []
