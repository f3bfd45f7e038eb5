"""The secret that signs the webhooks of an owner's single jobs."""

from __future__ import annotations

from dataclasses import replace

from flask.testing import FlaskClient

from app.factory import create_app
from tasks.config.settings import Settings
from tasks.store.client import Store
from tasks.webhooks.owner_secrets import job_secrets
from tasks.webhooks.signing_secrets import new_secret
from tests.app.answers import problem_in
from tests.app.keys import made, with_key

SECRET = "/v1/webhook-secret"


def test_it_is_created_when_it_is_first_read_and_stays(client: FlaskClient, store: Store) -> None:
    first = client.get(SECRET)
    assert first.status_code == 200
    assert first.headers["Cache-Control"] == "no-store"
    secret = first.get_json()["secret"]
    assert job_secrets(store, "default") == (secret,)
    assert client.get(SECRET).get_json() == {"secret": secret}


def test_each_owner_has_one(settings: Settings, store: Store) -> None:
    app = create_app(settings)
    keys = [made(app, owner).key.text for owner in ("acme", "acme", "rival")]
    found = [with_key(app, key).get(SECRET).get_json()["secret"] for key in keys]
    assert found[0] == found[1] != found[2]


def test_a_rotation_keeps_the_old_one_for_a_while(client: FlaskClient, store: Store) -> None:
    old = client.get(SECRET).get_json()["secret"]
    rotated = client.post(f"{SECRET}/rotate")
    assert rotated.status_code == 200
    assert set(rotated.get_json()) == {"secret", "old_secrets_expire_at"}
    new = rotated.get_json()["secret"]
    assert job_secrets(store, "default") == (new, old)
    assert client.get(SECRET).get_json() == {"secret": new}


def test_the_operators_may_be_a_setting_which_the_api_does_not_change(
    settings: Settings, store: Store
) -> None:
    secret = new_secret()
    client = with_key(create_app(replace(settings, webhook_secret=secret)), settings.api_key)
    assert client.get(SECRET).get_json() == {"secret": secret}
    problem = problem_in(client.post(f"{SECRET}/rotate"), 409, "secret_is_a_setting")
    assert "WEBHOOK_SECRET" in problem["detail"]
    assert secret not in problem["detail"]


def test_one_that_cannot_be_read_is_null_until_it_is_rotated(
    settings: Settings, store: Store, client: FlaskClient
) -> None:
    client.get(SECRET)
    other = create_app(replace(settings, webhook_key="another-key-of-webhooks"))
    with_other_key = with_key(other, settings.api_key)
    assert with_other_key.get(SECRET).get_json() == {"secret": None}
    new = with_other_key.post(f"{SECRET}/rotate").get_json()["secret"]
    assert with_other_key.get(SECRET).get_json() == {"secret": new}
