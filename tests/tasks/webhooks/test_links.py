from __future__ import annotations

from tasks.jobs.model import Job, Spec, Status
from tasks.webhooks.links import drift_links, job_document, job_links


def job(bulk: bool) -> Job:
    return Job("job_1", Spec("null", "o", bulk=bulk), Status.QUEUED, "gpu", created=1, total=1)


def test_a_job_links_to_itself_and_its_deliveries_and_a_bulk_job_to_its_results() -> None:
    single = {"self": "/v1/jobs/job_1", "deliveries": "/v1/jobs/job_1/deliveries"}
    assert job_links(job(bulk=False)) == single
    assert job_links(job(bulk=True)) == single | {"results": "/v1/jobs/job_1/results"}
    assert job_document(job(bulk=True))["links"] == job_links(job(bulk=True))


def test_a_drift_event_links_to_the_report_of_its_pipeline() -> None:
    assert drift_links("null") == {"report": "/v1/pipelines/null/drift"}
