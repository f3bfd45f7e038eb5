from __future__ import annotations

from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.schemas.list_query import PARAMETERS
from tests.app.answers import details, problem_in


@settings(
    max_examples=300,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    query=st.dictionaries(
        st.sampled_from(PARAMETERS),
        st.text(max_size=30) | st.integers().map(str) | st.datetimes().map(lambda t: f"{t}Z"),
    )
)
def test_any_values_are_a_page_or_a_bad_request(client: FlaskClient, query: dict[str, str]) -> None:
    response = client.get("/v1/jobs", query_string=query)
    if response.status_code != 200:
        assert details(problem_in(response, 400, "invalid_request")).keys() <= query.keys()
