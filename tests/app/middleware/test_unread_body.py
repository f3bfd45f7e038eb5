from __future__ import annotations

from flask.testing import FlaskClient

JOB = b'{"pipeline": "null", "input": {"text": "hello"}}'


def test_only_an_answer_to_an_unread_body_closes_the_connection(client: FlaskClient) -> None:
    unread = client.post("/v1/jobs", data=JOB, headers={"Authorization": "Bearer wrong"})
    assert unread.status_code == 401
    assert unread.headers["Connection"] == "close"
    wrong_type = client.post("/v1/jobs", data=JOB, content_type="text/plain")
    assert wrong_type.status_code == 415
    assert "Connection" not in wrong_type.headers
    assert "Connection" not in client.get("/v1/jobs/job_1").headers
