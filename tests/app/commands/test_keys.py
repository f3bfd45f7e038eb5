from __future__ import annotations

from dataclasses import replace

import pytest
from click.testing import Result
from flask import Flask

from app.api_keys.key_format import key_id_of
from app.api_keys.principal import Scope
from app.api_keys.records import KeyRecord, read_keys
from app.commands.register import register_commands
from app.factory import create_app
from tasks.config.settings import Settings
from tasks.store.client import Store
from tests.app.answers import NULL_JOB, problem_in
from tests.app.keys import with_key
from tests.ports import free_port

DAY_US = 86_400_000_000


def keys(app: Flask, *args: str) -> Result:
    return app.test_cli_runner().invoke(args=["keys", *args])


def printed(result: Result) -> str:
    """The key, which is alone on standard output."""
    assert result.exit_code == 0, result.output
    assert result.stdout.count("\n") == 1
    return result.stdout.strip()


def records(store: Store) -> list[KeyRecord]:
    return sorted((read_keys(store).records or {}).values(), key=lambda record: record.created)


def test_create_prints_a_key_that_works_alone_on_standard_output(app: Flask, store: Store) -> None:
    result = keys(app, "create", "--owner", "acme")
    key = printed(result)
    (record,) = records(store)
    assert record.id == key_id_of(key)
    assert (record.owner, record.scopes, record.expires) == ("acme", (Scope.JOBS,), None)
    assert key not in result.stderr
    assert f"Key {record.id} of acme, scopes jobs, never expires." in result.stderr
    assert with_key(app, key).post("/v1/jobs", json=NULL_JOB).status_code == 202


def test_create_takes_scopes_a_name_a_life_and_limits(app: Flask, store: Store) -> None:
    command = "create --owner a --scope metrics --scope jobs --scope metrics --expires-in 90d"
    limits = "--requests-per-s 1 --items-per-s 2 --unfinished-items 3"
    result = keys(app, *f"{command} {limits}".split(), "--name", "the nightly run")
    assert key_id_of(printed(result))
    (record,) = records(store)
    assert record.scopes == (Scope.METRICS, Scope.JOBS)
    assert record.name == "the nightly run"
    assert record.expires == record.created + 90 * DAY_US
    assert (record.requests_per_s, record.items_per_s, record.unfinished_items) == (1, 2, 3)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("", "Missing option '--owner'"),
        ("--owner a/b", "Must be 1 to 64 letters, digits, '_' or '-'."),
        ("--owner é", "Must be 1 to 64 letters, digits"),
        (f"--owner {'a' * 65}", "Must be 1 to 64 letters, digits"),
        ("--owner a --scope everything", "'everything' is not one of 'jobs', 'metrics', 'admin'"),
        ("--owner a --expires-in soon", "'soon' is not a duration such as 90d, 24h, 30m or 45s."),
        ("--owner a --expires-in 90", "'90' is not a duration"),
        ("--owner a --expires-in -1d", "'-1d' is not a duration"),
        ("--owner a --expires-in 9999999999w", "'9999999999w' is not a duration"),
        ("--owner a --expires-in 0d", "Must be more than 0."),
        ("--owner a --requests-per-s 0", "0 is not in the range 1<=x<="),
        (f"--owner a --name {'n' * 101}", "Must be at most 100 printable characters."),
        ("--owner a --name \x1b[2J", "Must be at most 100 printable characters."),
    ],
)
def test_create_says_what_a_valid_option_would_be(
    app: Flask, store: Store, options: str, said: str
) -> None:
    result = keys(app, "create", *options.split(" ")) if options else keys(app, "create")
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert result.stdout == ""
    assert records(store) == []


def test_list_shows_every_key_and_its_state_but_no_digest(app: Flask, store: Store) -> None:
    texts = [printed(keys(app, "create", "--owner", owner)) for owner in ("a", "b", "c")]
    first, second, third = (record.id for record in records(store))
    texts.append(printed(keys(app, "rotate", first)))
    texts.append(printed(keys(app, "rotate", second, "--grace", "0s")))
    keys(app, "revoke", third)
    result = keys(app, "list")
    header, *lines = [line.split() for line in result.stdout.splitlines()]
    assert header == ["ID", "OWNER", "SCOPES", "STATE", "CREATED", "EXPIRES", "LIMITS", "NAME"]
    assert [(line[0], line[1], line[2], line[3]) for line in lines] == [
        (first, "a", "jobs", "rotated"),
        (second, "b", "jobs", "expired"),
        (third, "c", "jobs", "revoked"),
        (str(key_id_of(texts[3])), "a", "jobs", "live"),
        (str(key_id_of(texts[4])), "b", "jobs", "live"),
    ]
    assert lines[2][5] == "never"
    for text, record in zip(texts, records(store), strict=True):
        assert text not in result.output
        assert record.digest not in result.output


def test_list_shows_the_limits_that_a_key_has_of_its_own(app: Flask) -> None:
    printed(keys(app, "create", "--owner", "a"))
    printed(keys(app, "create", "--owner", "b", "--items-per-s", "5", "--unfinished-items", "7"))
    limits = [line.split()[6] for line in keys(app, "list").stdout.splitlines()]
    assert limits == ["LIMITS", "default", "items_per_s=5,unfinished_items=7"]


def test_rotate_prints_the_successor_and_both_work(app: Flask, store: Store) -> None:
    old = printed(keys(app, "create", "--owner", "acme"))
    new = printed(keys(app, "rotate", str(key_id_of(old)), "--grace", "2h"))
    before, after = records(store)
    assert before.expires == after.created + DAY_US // 12
    for key in (old, new):
        assert with_key(app, key).get("/v1/pipelines").status_code == 200


def test_a_key_that_has_a_successor_is_not_rotated_again(app: Flask) -> None:
    old = str(key_id_of(printed(keys(app, "create", "--owner", "acme"))))
    new = key_id_of(printed(keys(app, "rotate", old)))
    again = keys(app, "rotate", old)
    assert again.exit_code == 1
    assert again.stderr == f"Error: {old} already has a successor: rotate {new} instead.\n"
    assert again.stdout == ""


def test_revoke_ends_a_key_and_twice_is_no_error(app: Flask) -> None:
    key = printed(keys(app, "create", "--owner", "acme"))
    for _ in range(2):
        result = keys(app, "revoke", str(key_id_of(key)))
        assert result.exit_code == 0
        assert result.stderr == f"Revoked {key_id_of(key)} of acme.\n"
    problem_in(with_key(app, key).get("/v1/pipelines"), 401, "unauthorized")


@pytest.mark.parametrize("command", ["rotate", "revoke"])
def test_an_unknown_id_is_an_error(app: Flask, command: str) -> None:
    result = keys(app, command, "nobody")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: There is no key nobody; `flask keys list` shows")


def test_without_redis_a_command_says_so(settings: Settings) -> None:
    nowhere = create_app(replace(settings, redis_port=free_port()))
    register_commands(nowhere)
    for command in (["list"], ["create", "--owner", "acme"], ["revoke", "x"]):
        result = keys(nowhere, *command)
        assert result.exit_code == 1
        assert result.stderr.startswith("Error: The job store does not answer")
        assert result.stdout == ""
