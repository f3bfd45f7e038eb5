"""A thousand connections that take their time keep nobody else from being served."""

from __future__ import annotations

import http.client
import json
import math
import threading
import time
from collections import Counter

import psutil
import pytest

from tests.eventually import eventually
from tests.integration.slow_clients import crowd
from tests.stack import Stack

SLOW = 1_000
OTHERS = 4
MEASURED_S = 12.0  # longer than a slow body is waited for
MOST_S = 1.0  # for 99 of 100 of the others' requests, by the issue
BODY = json.dumps({"pipeline": "moderation", "input": {"text": "a quick word"}})

SERVED = (200, 202)
SHED = 503  # of a process that has all its threads taken for a moment

HEADER = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "


def submit_head(stack: Stack) -> bytes:
    return (
        "POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {stack.settings.api_key}\r\nContent-Length: 5000\r\n\r\n"
    ).encode()


def connections_to(port: int) -> int:
    """Connections that the server holds or has yet to accept, those too whose client has left."""
    held = {psutil.CONN_ESTABLISHED, psutil.CONN_CLOSE_WAIT}
    found = psutil.net_connections("tcp4")
    return sum(one.laddr.port == port and one.status in held for one in found if one.laddr)


def others_requests(stack: Stack) -> tuple[list[float], Counter[int]]:
    """Seconds that requests took on connections of their own, and the statuses they got.

    One that was not served took for ever.
    """
    took: list[float] = []
    statuses: Counter[int] = Counter()
    until = time.monotonic() + MEASURED_S
    headers = {
        "Authorization": f"Bearer {stack.settings.api_key}",
        "Content-Type": "application/json",
    }

    def ask() -> None:
        while time.monotonic() < until:
            started = time.perf_counter()
            connection = http.client.HTTPConnection("127.0.0.1", stack.settings.port, timeout=30)
            try:
                connection.request("POST", "/v1/jobs", BODY, headers)
                status = connection.getresponse().status
            except OSError:
                status = 0
            finally:
                connection.close()
            statuses[status] += 1
            took.append(time.perf_counter() - started if status in SERVED else math.inf)
            time.sleep(0.02)

    threads = [threading.Thread(target=ask) for _ in range(OTHERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return took, statuses


@pytest.mark.timeout(240)
@pytest.mark.parametrize("mode", ["header", "body", "silent body"])
def test_a_thousand_slow_connections_leave_the_others_p99_under_a_second(
    stack: Stack, mode: str
) -> None:
    head = HEADER if mode == "header" else submit_head(stack)
    drip = b"" if mode == "silent body" else b"x"
    # A server process reads on for clients that are gone, and has a most of connections: without
    # this, a case begins beside the thousand of the one before it.
    eventually(lambda: not connections_to(stack.settings.port), "an idle server", within_s=60)
    with crowd(stack.settings.port, SLOW, head, drip) as slow:
        eventually(lambda: slow.connected >= SLOW, f"{SLOW} connections", within_s=60)
        took, statuses = others_requests(stack)
    took.sort()
    p50, p99 = took[len(took) // 2], took[int(len(took) * 0.99)]
    print(  # noqa: T201 - the figure that the issue asks for
        f"\n{SLOW} slow connections ({mode}): {len(took)} other requests, p50 {p50 * 1e3:.0f} ms, "
        f"p99 {p99 * 1e3:.0f} ms, longest {took[-1] * 1e3:.0f} ms; "
        f"refused {statuses[SHED]}; slow ones answered 408: {slow.timed_out}, closed: {slow.closed}"
    )
    assert set(statuses) <= {*SERVED, SHED}
    assert p99 < MOST_S
    assert (slow.timed_out > 0) == (mode != "header")
