from __future__ import annotations

from tasks.jobs.model import Job, Spec, Status, timestamp

RECORD = Job(
    id="job_1",
    spec=Spec(pipeline="null", owner="o", metadata={"ticket": "A-17"}),
    status=Status.SUCCEEDED,
    lane="gpu",
    created=1_790_000_000_123_456,
    started=1_790_000_000_127_556,
    finished=1_790_000_000_135_456,
    total=1,
    done=1,
    attempts=1,
    outcome={"output": {"label": "allow"}, "error": None},
)


def test_the_view_of_a_job_has_the_documented_members() -> None:
    assert RECORD.view() == {
        "id": "job_1",
        "pipeline": "null",
        "status": "succeeded",
        "created_at": "2026-09-21T14:13:20.123Z",
        "started_at": "2026-09-21T14:13:20.127Z",
        "finished_at": "2026-09-21T14:13:20.135Z",
        "queue_ms": 4.1,
        "run_ms": 7.9,
        "lane": "gpu",
        "attempts": 1,
        "cached": False,
        "progress": {"done": 1, "failed": 0, "total": 1},
        "output": {"label": "allow"},
        "error": None,
        "metadata": {"ticket": "A-17"},
    }


def test_the_terminal_statuses_are_final() -> None:
    assert [status for status in Status if status.is_terminal] == [
        *(Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.EXPIRED)
    ]


def test_a_missing_record_is_read_as_none() -> None:
    assert Job.read("job_1", [None] * len(Job.FIELDS)) is None


def test_a_whole_second_keeps_its_milliseconds() -> None:
    assert timestamp(1_790_000_000_000_000) == "2026-09-21T14:13:20.000Z"
