from __future__ import annotations

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient

from app.middleware import security_headers
from app.middleware.security_headers import SECURITY_HEADERS


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/livez", 200),
        ("GET", "/v1/jobs/job_1", 404),
        ("GET", "/nowhere", 404),
        ("DELETE", "/v1/pipelines", 405),
        ("POST", "/v1/jobs", 415),
    ],
)
def test_every_answer_has_the_security_headers(
    client: FlaskClient, method: str, path: str, status: int
) -> None:
    response = client.open(path, method=method)
    assert response.status_code == status
    assert SECURITY_HEADERS.items() <= dict(response.headers).items()


def fail() -> str:
    raise LookupError


def test_an_internal_error_has_the_security_headers_too() -> None:
    broken = Flask("broken")
    security_headers.install(broken)
    broken.add_url_rule("/", view_func=fail)
    response = broken.test_client().get("/")
    assert response.status_code == 500
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_a_view_may_have_a_policy_of_its_own() -> None:
    site = Flask("site")
    security_headers.install(site)
    own = {"Content-Security-Policy": "default-src 'self'"}
    site.add_url_rule("/", view_func=lambda: Response("page", headers=own))
    response = site.test_client().get("/")
    assert response.headers.getlist("Content-Security-Policy") == ["default-src 'self'"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
