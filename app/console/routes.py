"""/console: the operators' page, its files, and the data that its scripts poll."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Final

from flask import Blueprint, Response, current_app, send_file
from flask.blueprints import BlueprintSetupState

from app.console.authentication import CHALLENGE, require_console_access, require_own_page
from app.console.snapshot import SnapshotCache
from app.http.errors import JobNotFound
from app.http.responses import NO_STORE, respond
from app.routes.jobs.views import create_from_json
from app.routes.operations import show_metrics
from app.services import EXTENSION, Services, services
from tasks.jobs.model import Job
from tasks.jobs.read import read_job, read_results
from tasks.webhooks.links import job_document

console = Blueprint("console", __name__)

_PAGE = Path(__file__).parent / "page"
_SCRIPTS: Final = (
    "console",
    "dom",
    "history",
    "quantile",
    "morph",
    "charts",
    "panels",
    "drift",
    "jobs",
    "answer",
)
ASSETS: Final = ("console.css", "icon.svg", *(f"{name}.js" for name in _SCRIPTS))
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
MOST_RESULTS: Final = 20  # shown of a bulk job
_LATEST = "penstock.console"


@console.record
def _prepare(state: BlueprintSetupState) -> None:
    here: Services = state.app.extensions[EXTENSION]
    state.app.extensions[_LATEST] = SnapshotCache(here)


@console.after_request
def _ask_for_a_password(response: Response) -> Response:
    if response.status_code == 401:
        response.headers["WWW-Authenticate"] = CHALLENGE
    return response


@console.get("/console")
@require_console_access
def page() -> Response:
    """The page."""
    headers = [("Content-Security-Policy", POLICY), NO_STORE]
    text = (_PAGE / "console.html").read_bytes()
    return Response(text, mimetype="text/html", headers=headers)


@console.get(f"/console/<any({', '.join(map(repr, ASSETS))}):name>")
def asset(name: str) -> Response:
    """A file of the page; public, as it has no data."""
    return send_file(_PAGE / name, max_age=0)


@console.get("/console/data")
@require_console_access
def data() -> Response:
    """All data of the page, at most a second old."""
    latest: SnapshotCache = current_app.extensions[_LATEST]
    return Response(latest.text(), headers=[("Content-Type", "application/json"), NO_STORE])


@console.get("/console/jobs/<job_id>")
@require_console_access
def job(job_id: str) -> Response:
    """A job of any owner, without its input."""
    found = read_job(services().store, job_id)
    if found is None:
        raise JobNotFound("There is no such job, or its result has expired.")
    spec = found.spec
    more = {"owner": spec.owner, "request_id": spec.request_id, "results": list(_results(found))}
    return respond(job_document(found) | more)


@console.post("/console/try")
@require_console_access
@require_own_page
def submit() -> Response:
    """Submit a job like POST /v1/jobs with a JSON body, under the same checks and limits."""
    return create_from_json()


@console.get("/console/metrics")
@require_console_access
def metrics() -> Response:
    """The same as GET /metrics, for people who logged in with a password."""
    return show_metrics()


def _results(found: Job) -> Iterable[object]:
    return islice(read_results(services().store, found), MOST_RESULTS) if found.spec.bulk else ()
