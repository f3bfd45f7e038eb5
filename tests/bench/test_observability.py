from __future__ import annotations

import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import replace

import pytest

from bench.fleet import ROOT
from bench.measure import Sample
from bench.observability import OFF, ON, _verdicts, observed, unobserved
from bench.rounds import Findings
from tasks.config.settings import Settings
from tests.eventually import eventually
from tests.ports import free_port
from tests.tasks.config.test_settings import KEYS

COSTS = "observability costs"


def sample(rate: float, completed_rate: float | None = None) -> Sample:
    return Sample(
        jobs=1,
        items=1,
        requests=1,
        seconds=1,
        rate=rate,
        submit_rate=None,
        completed_rate=completed_rate,
        p50_ms=None,
        p99_ms=None,
        cpu_us={},
        generator_us=0,
        others=0,
    )


def test_the_two_differ_in_every_setting_that_observes() -> None:
    on, off = (
        Settings.from_env(KEYS | dict(system.env))
        for system in (observed("always"), unobserved("always"))
    )
    assert (on.log_jobs, off.log_jobs) == (True, False)
    assert on.sentry_dsn
    assert on.otlp_endpoint
    assert off.sentry_dsn is None
    assert off.otlp_endpoint is None
    for name in ("flower_jobs_per_s", "drift_samples", "metrics_port"):
        assert getattr(on, name) > getattr(off, name) == 0
    assert set(observed("always").workers) - set(unobserved("always").workers) == {"sink", "flower"}
    assert "flower" not in observed("always", flower=False).workers


def test_turns_that_stood_side_by_side_are_compared_if_both_were_quiet() -> None:
    noisy = replace(sample(500), others=0.5)
    findings = {
        ON: Findings({"wait": [sample(90), noisy, sample(45)], "drain": [noisy]}),
        OFF: Findings({"wait": [sample(100), sample(10), sample(50)], "drain": [sample(9, 1000)]}),
    }
    wait, drain = _verdicts(findings)
    assert wait == (
        f"wait: 68/s with all on, 75/s with all off: ratio 0.900, {COSTS} 10.0% of throughput "
        "(2 of 3 turns were quiet)"
    )
    assert drain == (
        f"drain: 500/s with all on, 1,000/s with all off: ratio 0.500, {COSTS} 50.0% of throughput "
        "(0 of 1 turns were quiet: all count)"
    )


@pytest.fixture
def sink() -> Iterator[int]:
    port = free_port()
    with subprocess.Popen([sys.executable, "-m", "bench.sink", str(port)], cwd=ROOT) as process:
        eventually(lambda: answers(port), "the sink")
        yield port
        process.terminate()
        assert process.wait(30) == 0


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("body", [b"x" * 100_000, iter([b"x" * 10, b"y" * 20_000])])
def test_the_sink_takes_what_it_is_sent(sink: int, body: bytes | Iterator[bytes]) -> None:
    request = urllib.request.Request(f"http://127.0.0.1:{sink}/v1/traces", body)
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        assert (answer.status, answer.read()) == (200, b"{}")
