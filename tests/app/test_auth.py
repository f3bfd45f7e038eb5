from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.app.answers import NULL_JOB, problem_in
from tests.conftest import API_KEY

GUARDED = [
    ("POST", "/v1/jobs"),
    ("GET", "/v1/jobs/job_1"),
    ("GET", "/v1/jobs/job_1/results"),
    ("POST", "/v1/jobs/job_1/cancel"),
    ("GET", "/v1/pipelines"),
    ("GET", "/v1/pipelines/null"),
    ("GET", "/metrics"),
]
WRONG = [
    None,
    "",
    "Bearer",
    "Bearer ",
    API_KEY,
    f"Basic {API_KEY}",
    f"Bearer {API_KEY}x",
    f"Bearer {API_KEY[:-1]}",
    f"Bearer {API_KEY} {API_KEY}",
    "Bearer " + "ключ".encode().decode("latin-1"),
]


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_without_a_key_every_guarded_route_answers_alike(
    app: Flask, method: str, path: str
) -> None:
    response = app.test_client().open(path, method=method)
    problem = problem_in(response, 401, "unauthorized")
    assert "Authorization: Bearer <key>" in problem["detail"]
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("header", WRONG)
def test_a_wrong_key_is_refused_before_the_body_is_looked_at(
    app: Flask, header: str | None
) -> None:
    headers = {} if header is None else {"Authorization": header}
    client = app.test_client()
    good = client.post("/v1/jobs", json=NULL_JOB, headers=headers)
    bad = client.post("/v1/jobs", data=b"{", headers=headers)
    first = problem_in(good, 401, "unauthorized")
    assert problem_in(bad, 401, "unauthorized")["detail"] == first["detail"]
    assert API_KEY not in good.text


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_compared_without_regard_to_case(
    app: Flask, client: FlaskClient, scheme: str
) -> None:
    response = app.test_client().get(
        "/v1/pipelines", headers={"Authorization": f"{scheme} {API_KEY}"}
    )
    assert response.status_code == 200


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_health_needs_no_key(app: Flask, path: str) -> None:
    assert app.test_client().get(path).status_code != 401
