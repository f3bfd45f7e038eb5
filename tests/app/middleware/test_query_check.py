from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from app.middleware.query_check import MOST_NAMED
from app.schemas.list_query import PARAMETERS
from app.schemas.upload_query import PARAMETERS as UPLOAD
from tests.app.answers import NULL_JOB, details, problem_in

TAKES = "Unknown query parameter; this route takes {}."
NONE = TAKES.format("none")
JOB = "/v1/jobs/job_1"


@pytest.mark.parametrize(
    ("method", "path", "says"),
    [
        (
            *("GET", "/v1/jobs"),
            TAKES.format(", ".join(PARAMETERS)),
        ),
        ("GET", JOB, TAKES.format("wait")),
        ("HEAD", JOB, None),
        ("POST", "/v1/jobs", TAKES.format(", ".join(UPLOAD))),
        ("GET", "/v1/usage", TAKES.format("days, from, to, owner")),
        ("GET", f"{JOB}/results", NONE),
        ("GET", f"{JOB}/events", NONE),
        ("POST", f"{JOB}/cancel", NONE),
        ("GET", "/v1/pipelines", NONE),
        ("GET", "/v1/pipelines/null", NONE),
        ("GET", "/livez", NONE),
        ("GET", "/metrics", NONE),
    ],
)
def test_an_unknown_parameter_is_refused_with_the_names_of_the_known_ones(
    client: FlaskClient, method: str, path: str, says: str | None
) -> None:
    response = client.open(f"{path}?Wait=1&verbose", method=method, json=NULL_JOB)
    if says is None:
        assert response.status_code == 400
    else:
        problem = problem_in(response, 400, "invalid_request")
        assert details(problem) == {"Wait": says, "verbose": says}


def test_what_only_uploads_take_is_refused_beside_a_json_body(client: FlaskClient) -> None:
    response = client.post("/v1/jobs?pipeline=null&on_error=skip", json=NULL_JOB)
    faults = details(problem_in(response, 400, "invalid_request"))
    assert set(faults) == {"pipeline", "on_error"}
    assert all("Only uploads" in detail for detail in faults.values())


def test_a_parameter_given_twice_is_refused(client: FlaskClient) -> None:
    problem = problem_in(client.get(f"{JOB}?wait=1&wait=2"), 400, "invalid_request")
    assert details(problem) == {"wait": "Must be given once."}


def test_a_flood_of_parameters_gets_a_short_answer(client: FlaskClient) -> None:
    query = "&".join(f"{n}{'x' * 500}=1" for n in range(500))
    response = client.get(f"{JOB}?{query}")
    problem = problem_in(response, 400, "invalid_request")
    assert len(problem["errors"]) == MOST_NAMED
    assert len(response.data) < 5_000


@pytest.mark.parametrize("query", ["%ff=1", "%00=%00", "%ed%a0%80", "=", "&&", "a=%", "\u00e9"])
def test_any_bytes_of_a_query_cause_no_internal_error(client: FlaskClient, query: str) -> None:
    response = client.get(f"/livez?{query}")
    assert response.status_code in {200, 400}
    assert response.status_code == 200 or response.get_json()["code"] == "invalid_request"


def test_an_unknown_path_is_404_whatever_its_query(client: FlaskClient) -> None:
    problem_in(client.get("/v2?x=1"), 404, "not_found")
    problem_in(client.delete("/v1/jobs?x=1"), 405, "method_not_allowed")
