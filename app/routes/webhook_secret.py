"""/v1/webhook-secret: the secret that signs webhooks given with single jobs."""

from __future__ import annotations

from flask import Blueprint, Response, g

from app.access_control.authentication import requires
from app.api_keys.principal import Scope
from app.http.errors import SecretNotRotatable
from app.http.responses import respond
from app.services import services
from tasks.jobs.model import timestamp
from tasks.webhooks import owner_secrets

webhook_secret = Blueprint("webhook_secret", __name__, url_prefix="/v1/webhook-secret")


@webhook_secret.get("")
@requires(Scope.JOBS)
def show() -> Response:
    """The secret that signs webhooks given with single jobs (`webhook` of a job).

    Each owner has one; it is created when it is first read. Endpoints have secrets of their own.
    """
    signing = owner_secrets.job_secrets(services().store, g.principal.owner)
    return respond({"secret": next(iter(signing), None)})


@webhook_secret.post("/rotate")
@requires(Scope.JOBS)
def rotate() -> Response:
    """Create a new secret; until `old_secrets_expire_at` the older ones sign as well."""
    store = services().store
    until = store.now_us() + store.settings.webhook_rotation_s * 1_000_000
    try:
        newest, *_ = owner_secrets.rotate_job_secrets(store, g.principal.owner)
    except owner_secrets.SecretIsASetting:
        text = "WEBHOOK_SECRET of the settings signs for the operator; change it there."
        raise SecretNotRotatable(text) from None
    return respond({"secret": newest, "old_secrets_expire_at": timestamp(until)})
