"""Settings: `.env.example` matches them, and values that are not valid stop the start."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from deploy.local.dev_env import SECRETS
from deploy.local.options import Options, OptionsSchema
from tasks.config.settings import Settings, SettingsError

EXAMPLE = (Path(__file__).parents[3] / ".env.example").read_text()
KEYS = {
    "PENSTOCK_API_KEY": "k" * 16,
    "PENSTOCK_KEY_PEPPER": "p" * 16,
    "REDIS_PASSWORD": "r" * 16,
    "PENSTOCK_WEBHOOK_KEY": "w" * 16,
}
FIELDS = {field.metadata["env"]: field for field in dataclasses.fields(Settings)}
OPTIONS = {field.data_key for field in OptionsSchema().fields.values()}


def listed() -> dict[str, str]:
    """What `.env.example` lists, as if every line of it were uncommented."""
    pairs = re.findall(r"^#([A-Z][A-Z_]+)=(.*)$", EXAMPLE, re.MULTILINE)
    assert len(pairs) == len(dict(pairs)), "a variable is listed twice"
    return dict(pairs)


def settings(**env: str) -> Settings:
    return Settings.from_env(KEYS | env)


def problems(env: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as error:
        Settings.from_env(env)
    return str(error.value).splitlines()


def test_the_example_lists_every_variable_and_no_other() -> None:
    assert set(listed()) == set(FIELDS) | OPTIONS


def test_a_development_instance_has_a_password_of_flower_and_the_console() -> None:
    assert {"FLOWER_USER", "FLOWER_PASSWORD"} < set(SECRETS)


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_the_example_shows_the_true_default(name: str) -> None:
    field, shown = FIELDS[name], listed()[name]
    if "secret" in field.metadata or field.default in (None, ()):
        assert shown == ""
    else:
        assert shown != ""
        assert getattr(settings(**{name: shown}), field.name) == field.default
        assert getattr(settings(), field.name) == field.default


def test_the_example_shows_the_true_defaults_of_the_runner() -> None:
    shown = {name: value for name, value in listed().items() if name in OPTIONS}
    assert all(shown.values())
    assert Options.from_env(shown) == Options.from_env({})


def test_each_variable_of_the_example_is_explained() -> None:
    for block in re.split(r"\n\n", EXAMPLE):
        lines = block.splitlines()
        for number, line in enumerate(lines):
            if re.match(r"#[A-Z]", line):
                above = [before for before in lines[:number] if before.startswith("# ")]
                assert above, f"nothing explains {line}"


def test_the_example_has_no_line_that_a_copy_of_it_would_set() -> None:
    assert [line for line in EXAMPLE.splitlines() if line and not line.startswith("#")] == []


def test_values_are_converted_to_their_types() -> None:
    read = settings(
        PENSTOCK_PORT="9000",
        PENSTOCK_ENABLE_NULL="true",
        PENSTOCK_PIPELINES="a.b:c, d.e:f",
        CUDA_VISIBLE_DEVICES="0,1",
        PENSTOCK_TRUSTED_PROXIES="10.0.0.0/8, ::1",
        PENSTOCK_CORS_ORIGINS="https://a.example, http://localhost:3000,http://[::1]:80",
    )
    assert read.cors_origins == ("https://a.example", "http://localhost:3000", "http://[::1]:80")
    assert (read.port, read.enable_null) == (9000, True)
    assert read.pipelines == ("a.b:c", "d.e:f")
    assert read.visible_gpus == ("0", "1")
    assert read.trusted_proxies == ("10.0.0.0/8", "::1")


def test_an_empty_variable_is_unset_but_an_empty_list_of_gpus_is_none() -> None:
    assert settings(PENSTOCK_PORT="") == settings()
    assert settings().visible_gpus is None
    assert settings(CUDA_VISIBLE_DEVICES="").visible_gpus == ()


def test_settings_cannot_be_changed() -> None:
    read: Any = settings()
    with pytest.raises(dataclasses.FrozenInstanceError):
        read.port = 1


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("PENSTOCK_PORT", "0", "greater than or equal to 1 and less than or equal to 65535"),
        ("PENSTOCK_PORT", "80.5", "Not a valid integer"),
        ("REDIS_DB", "16", "greater than or equal to 0 and less than or equal to 15"),
        ("PENSTOCK_ENABLE_NULL", "perhaps", "Not a valid boolean"),
        ("PENSTOCK_PIPELINES", " , ", "Shorter than minimum length 1"),
        ("PENSTOCK_PIPELINES", "a.b:c,ml.x", "like package.module:attribute, unlike 'ml.x'"),
        ("PENSTOCK_TRUSTED_PROXIES", "10.0.0.1/8", "10.0.0.0/8 or ::1, separated by commas"),
        ("PENSTOCK_TRUSTED_PROXIES", "10.0.0.0/8,nginx", "'nginx' does not appear to be"),
        ("PENSTOCK_WEBHOOK_PORTS", "443,x", "Not a valid integer"),
        ("PENSTOCK_WEBHOOK_SCHEDULE_S", "5,-1", "greater than or equal to 0"),
        ("LOG_LEVEL", "LOUD", "Must be one of: DEBUG, INFO, WARNING, ERROR"),
        ("PENSTOCK_MAX_PAGE", "501", "greater than or equal to 1 and less than or equal to 500"),
        ("PENSTOCK_CORS_ORIGINS", "*,https://a.example", "Must be * or origins such as https://"),
        ("PENSTOCK_CORS_ORIGINS", "https://a.example/", "and without a path"),
        ("PENSTOCK_CORS_ORIGINS", "a.example", "Must be * or origins"),
        ("PENSTOCK_CORS_ORIGINS", "null", "Must be * or origins"),
        ("PENSTOCK_CORS_ORIGINS", "https://*.example", "Must be * or origins"),
        ("PENSTOCK_RENEW_MS", "8000", "at most half of PENSTOCK_LEASE_MS=15000"),
        ("PENSTOCK_MAX_JSON_KEYS", "2999", "at least three times PENSTOCK_MAX_INPUTS=1000"),
        ("PENSTOCK_DRIFT_SAMPLES", "499", "at least PENSTOCK_DRIFT_MIN_SAMPLES=500"),
        ("PENSTOCK_GPU_WORKERS_MAX", "0", "greater than or equal to 1"),
        ("PENSTOCK_WEB_THREADS", "764", "more than PENSTOCK_MAX_WAITERS=500"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name_and_what_is_allowed(
    name: str, value: str, allowed: str
) -> None:
    (problem,) = problems(KEYS | {name: value})
    assert problem.startswith(f"{name}=")
    assert value in problem
    assert allowed in problem


def test_a_lane_has_room_for_at_least_its_fewest_workers() -> None:
    (problem,) = problems(KEYS | {"PENSTOCK_GPU_WORKERS_MIN": "2"})
    assert problem == (
        "PENSTOCK_GPU_WORKERS_MAX=1 is not valid: it must be at least PENSTOCK_GPU_WORKERS_MIN=2."
    )


def test_the_cpu_lane_has_a_fixed_number_of_workers_unless_its_range_is_set() -> None:
    fixed = settings(PENSTOCK_CPU_WORKERS="4")
    assert (fixed.cpu_workers_range, fixed.cpu_pool_scales) == ((4, 4), False)
    ranged = settings(PENSTOCK_CPU_WORKERS_MAX="3")
    assert (ranged.cpu_workers_range, ranged.cpu_pool_scales) == ((1, 3), True)
    left = settings(PENSTOCK_CPU_WORKERS_MAX="3", PENSTOCK_SCALE_CPU_POOL="false")
    assert (left.cpu_workers_range, left.cpu_pool_scales) == ((1, 3), False)


def test_all_wrong_values_are_named_at_once() -> None:
    given = {name: KEYS[name] for name in ("REDIS_PASSWORD", "PENSTOCK_KEY_PEPPER")}
    said = problems(given | {"PENSTOCK_PORT": "x", "LOG_FORMAT": "xml"})
    assert said == [
        "LOG_FORMAT='xml' is not valid: Must be one of: json, console.",
        "PENSTOCK_API_KEY is not set: it is required and has no default.",
        "PENSTOCK_PORT='x' is not valid: Not a valid integer.",
        "PENSTOCK_WEBHOOK_KEY is not set: it is required and has no default.",
    ]


def test_secrets_are_never_shown() -> None:
    (problem,) = problems(KEYS | {"PENSTOCK_API_KEY": "tooshort"})
    assert problem == "PENSTOCK_API_KEY='***' is not valid: Shorter than minimum length 16."
    (problem,) = problems(KEYS | {"WEBHOOK_SECRET": "whsec_short"})
    assert problem == (
        "WEBHOOK_SECRET='***' is not valid: Must be whsec_ followed by base64 of 24 to 64 bytes."
    )
    (problem,) = problems(KEYS | {"SENTRY_DSN": "https://sentry.example/1"})
    said = "Must look like https://KEY@HOST/NUMBER, as Sentry shows it."
    assert problem == f"SENTRY_DSN='***' is not valid: {said}"
    assert "k" * 16 not in repr(settings())
    assert "p" * 16 not in repr(settings())
    assert "r" * 16 not in repr(settings())
