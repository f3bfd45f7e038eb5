"""The links that tasks/webhooks/links.py makes lead to routes of this API."""

from __future__ import annotations

from flask import Flask

from tasks.jobs.model import Job, Spec, Status
from tasks.webhooks.links import drift_links, job_links


def test_every_link_of_a_job_and_of_a_drift_event_leads_to_a_route(app: Flask) -> None:
    job = Job("job_1", Spec("null", "o", bulk=True), Status.QUEUED, "gpu", created=1, total=1)
    routes = app.url_map.bind("localhost")
    for path in (job_links(job) | drift_links("null")).values():
        endpoint, _ = routes.match(path, method="GET")
        assert endpoint in app.view_functions
