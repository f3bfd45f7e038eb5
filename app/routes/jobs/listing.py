"""`GET /v1/jobs`: a page of jobs and the link to the next one."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Response, g, request

from app.http.query_params import load_query
from app.http.responses import respond
from app.schemas.list_query import DEFAULT_PAGE, make_cursor
from app.services import services
from tasks.jobs.listing import Filter, list_jobs
from tasks.webhooks.links import job_document


def show_page() -> Response:
    """Respond with the page of the caller's own jobs that the query asks for, newest first."""
    here = services()
    asked = load_query(here.list_query)
    page = list_jobs(
        here.store,
        g.principal.owner,
        Filter(asked.get("status"), asked.get("created_after"), asked.get("created_before")),
        asked.get("limit", min(DEFAULT_PAGE, here.settings.max_page)),
        asked.get("cursor"),
    )
    cursor = page.position and make_cursor(page.position)
    response = respond({"jobs": [job_document(job) for job in page.jobs], "next_cursor": cursor})
    if cursor:
        query = urlencode({**request.args.to_dict(), "cursor": cursor})
        response.headers["Link"] = f'<{request.path}?{query}>; rel="next"'
    return response
