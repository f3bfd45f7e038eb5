"""Links to the API in documents that leave Penstock: jobs and drift events.

Webhook bodies, which workers build, have the same links as the API's answers. So the paths stand
here, where both can import them, and nowhere else below app/; a test holds them to the routes.
"""

from __future__ import annotations

from typing import Any

from tasks.jobs.model import Job


def job_links(job: Job) -> dict[str, str]:
    """Paths of a job, its deliveries and, of a bulk job, its results."""
    path = f"/v1/jobs/{job.id}"
    links = {"self": path, "deliveries": f"{path}/deliveries"}
    return links | ({"results": f"{path}/results"} if job.spec.bulk else {})


def job_document(job: Job) -> dict[str, Any]:
    """The job as every route and every webhook shows it."""
    return {**job.view(), "links": job_links(job)}


def drift_links(pipeline: str) -> dict[str, str]:
    """Path of a pipeline's drift report."""
    return {"report": f"/v1/pipelines/{pipeline}/drift"}
