"""`var/dev.env`: secrets are made once, a person's own lines stay, nobody else can read it."""

from __future__ import annotations

import base64
import stat
import subprocess
from pathlib import Path

import pytest

from deploy.local import dev_env
from deploy.local.errors import RunnerError


def start(path: Path, port: int) -> dict[str, str]:
    """Do with the file what each start does."""
    secrets = dev_env.secrets_of(dev_env.read(path))
    dev_env.save(path, {"PENSTOCK_URL": f"http://127.0.0.1:{port}", **secrets})
    return dev_env.read(path)


def test_the_first_start_makes_every_secret_and_keeps_the_file_private(tmp_path: Path) -> None:
    path = tmp_path / "dev.env"
    made = start(path, 8000)
    assert set(made) == {
        "PENSTOCK_URL",
        "PENSTOCK_API_KEY",
        "FLOWER_USER",
        "FLOWER_PASSWORD",
        "WEBHOOK_SECRET",
        "REDIS_PASSWORD",
        "PENSTOCK_KEY_PEPPER",
        "PENSTOCK_WEBHOOK_KEY",
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    plain = ("PENSTOCK_API_KEY", "FLOWER_PASSWORD", "REDIS_PASSWORD", "PENSTOCK_KEY_PEPPER")
    keys = [made[name] for name in (*plain, "PENSTOCK_WEBHOOK_KEY")]
    assert len(set(keys)) == 5
    assert all(len(bytes.fromhex(key)) == 32 for key in keys)
    prefix, secret = made["WEBHOOK_SECRET"].split("_")
    assert prefix == "whsec"
    assert len(base64.b64decode(secret, validate=True)) == 32


def test_two_instances_share_no_secret(tmp_path: Path) -> None:
    one, other = start(tmp_path / "a.env", 8000), start(tmp_path / "b.env", 8000)
    del one["FLOWER_USER"], one["PENSTOCK_URL"]
    assert not {*one.values()} & {*other.values()}


def test_a_later_start_corrects_the_address_and_keeps_everything_else(tmp_path: Path) -> None:
    path = tmp_path / "dev.env"
    before = start(path, 8000)
    with path.open("a") as file:
        file.write("# mine\nexport LOG_LEVEL=DEBUG  # why\nNOTE='two words'\n")
    path.chmod(0o644)
    after = start(path, 8001)
    assert after == {
        **before,
        "PENSTOCK_URL": "http://127.0.0.1:8001",
        "LOG_LEVEL": "DEBUG",
        "NOTE": "two words",
    }
    assert "# mine" in path.read_text().splitlines()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_secret_that_was_emptied_is_made_anew_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "dev.env"
    path.write_text("PENSTOCK_API_KEY=\nREDIS_PASSWORD=chosen by a person\n".replace(" ", "-"))
    made = start(path, 8000)
    assert path.read_text().splitlines()[0] == f"PENSTOCK_API_KEY={made['PENSTOCK_API_KEY']}"
    assert len(made["PENSTOCK_API_KEY"]) == 64
    assert made["REDIS_PASSWORD"] == "chosen-by-a-person"


def test_a_shell_reads_the_same_as_we_do(tmp_path: Path) -> None:
    path = tmp_path / "dev.env"
    made = start(path, 8000)
    shell = subprocess.run(
        ["/bin/sh", "-c", f"set -a; . {path}; set +a; env"],
        env={},
        capture_output=True,
        text=True,
        check=True,
    )
    assert made.items() <= dict(line.split("=", 1) for line in shell.stdout.splitlines()).items()


@pytest.mark.parametrize("line", ["s3cret without equals", "1NAME=s3cret", "A='s3cret"])
def test_a_line_that_cannot_be_read_is_named_by_its_number_and_never_shown(
    line: str, tmp_path: Path
) -> None:
    path = tmp_path / "dev.env"
    path.write_text(f"# fine\n{line}\n")
    with pytest.raises(RunnerError) as error:
        dev_env.read(path)
    assert str(error.value).startswith(f"{path}:2 ")
    assert "s3cret" not in str(error.value)
