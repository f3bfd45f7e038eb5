"""/v1/webhook-secret: what signs the webhooks of an owner's single jobs."""

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

    It is made at the first look, and the key's owner has one. Endpoints have secrets of their own.
    """
    signing = owner_secrets.job_secrets(services().store, g.principal.owner)
    return respond({"secret": next(iter(signing), None)})


@webhook_secret.post("/rotate")
@requires(Scope.JOBS)
def rotate() -> Response:
    """Make a new one; until `old_secrets_expire_at` those before it sign too."""
    store = services().store
    until = store.now_us() + store.settings.webhook_rotation_s * 1_000_000
    try:
        newest, *_ = owner_secrets.rotate_job_secrets(store, g.principal.owner)
    except owner_secrets.SecretIsASetting:
        text = "WEBHOOK_SECRET of the settings signs for the operator; change it there."
        raise SecretNotRotatable(text) from None
    return respond({"secret": newest, "old_secrets_expire_at": timestamp(until)})
