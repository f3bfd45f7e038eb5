from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest
from flower.options import default_options

from tasks.config.settings import Settings, SettingsError
from tasks.telemetry.flower.__main__ import credentials, options

SECRETS = ("REDIS_PASSWORD", "PENSTOCK_API_KEY", "PENSTOCK_KEY_PEPPER", "PENSTOCK_WEBHOOK_KEY")
WHO = {"FLOWER_USER": "u", "FLOWER_PASSWORD": "p:q"}


def test_every_option_is_one_that_flower_knows(settings: Settings) -> None:
    names = {name.removeprefix("FLOWER_").lower() for name in options(settings, "u:p")}
    assert names <= set(default_options)


@pytest.mark.parametrize("read_only", [True, False])
def test_it_is_read_only_as_the_setting_says(settings: Settings, read_only: bool) -> None:
    told = options(replace(settings, flower_read_only=read_only), "u:p")
    assert told["FLOWER_READ_ONLY"] == str(read_only)


def test_a_password_may_have_a_colon() -> None:
    assert credentials(WHO) == "u:p:q"


@pytest.mark.parametrize("name", WHO)
def test_it_does_not_start_without_a_password(name: str) -> None:
    env = {**os.environ, **dict.fromkeys(SECRETS, "x" * 16), **WHO, name: ""}
    command = [sys.executable, "-m", "tasks.telemetry.flower"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{name} is not set: it is required and has no default.\n"


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("FLOWER_USER", "two:three", "ASCII without ',' or ':'"),
        ("FLOWER_PASSWORD", "half,other:half", "ASCII without ','"),  # would be two logins
        ("FLOWER_PASSWORD", "pässword", "ASCII without ','"),
    ],
)
def test_credentials_that_flower_would_misread_are_refused_and_not_repeated(
    name: str, value: str, allowed: str
) -> None:
    with pytest.raises(SettingsError) as error:
        credentials({**WHO, name: value})
    assert str(error.value) == f"{name} is not valid: it must be {allowed}."
