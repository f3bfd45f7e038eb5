from __future__ import annotations

import os
import threading
from dataclasses import replace
from typing import Any

from tasks.jobs.lanes import Lane
from tasks.queue.consumer import Consumer
from tasks.store.client import Store
from tasks.telemetry.sinks import JobSinks
from tasks.worker.maintenance import Maintenance
from tests.tasks.lanes import claim, put


class Wakes:
    def __init__(self) -> None:
        self.queue = ""
        self.seen = threading.Event()

    def send_task(self, _: str, **message: Any) -> None:
        self.queue = message["queue"]
        self.seen.set()


def test_maintenance_sends_heartbeats_renews_leases_and_wakes_lanes_with_waiting_units(
    store: Store,
) -> None:
    quick = Store(store.redis, replace(store.settings, sweep_ms=5, renew_ms=5))
    consumer, wakes = Consumer(quick, Lane.GPU), Wakes()
    put(store)
    claim(consumer)
    put(store)
    maintenance = Maintenance(consumer, wakes, os.getppid(), JobSinks(()))  # type: ignore[arg-type]
    maintenance.start()
    assert wakes.seen.wait(30)
    maintenance.stop()
    maintenance.join()
    assert wakes.queue == "penstock.gpu"
    assert store.redis.zrange("ps:workers", 0, -1) == [f"gpu/{consumer.name}"]
