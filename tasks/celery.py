"""The Celery application: worker processes, queues and events. Its messages carry no jobs.

A message says only that a lane has work. It may be lost (the sweep sends another) or arrive twice
(the second claim finds nothing), so no message is retried or acknowledged late.
"""

from __future__ import annotations

from typing import Any, Self

from celery import Celery
from celery.app.amqp import AMQP
from kombu import Connection, Queue

from tasks.config.settings import Settings
from tasks.jobs.lanes import Lane

RUN_BATCHES = "penstock.run_batches"


# kombu's pause grows to 30 s, for which a worker would stay idle although Redis is back.
RECONNECT_S = 2.0


class _Connection(Connection):
    """A broker connection that retries at a constant interval."""

    def ensure_connection(self, *args: Any, **options: Any) -> Self:
        options |= {"interval_start": RECONNECT_S, "interval_step": 0, "interval_max": RECONNECT_S}
        return super().ensure_connection(*args, **options)


class _Amqp(AMQP):
    Connection = _Connection


def queue_of(lane: Lane | str) -> str:
    """Name of the lane's Celery queue."""
    return f"penstock.{lane}"


def make_celery(settings: Settings) -> Celery:
    """Create the Celery application, for workers, for senders of wake-ups and for Flower."""
    app = Celery("penstock", set_as_current=False, amqp=_Amqp)
    timeout_s = settings.redis_timeout_ms / 1000
    app.conf.update(
        broker_url=f"redis://{settings.redis_host}:{settings.redis_port}/{settings.redis_db}",
        broker_password=settings.redis_password,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # a worker survives any outage of Redis
        broker_transport_options={
            "socket_timeout": timeout_s,
            "socket_connect_timeout": timeout_s,
            "socket_keepalive": True,
            "health_check_interval": 10,
        },
        task_queues=[Queue(queue_of(lane)) for lane in Lane],
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        worker_prefetch_multiplier=1,
        worker_proc_alive_timeout=settings.warm_up_s,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
    )
    return app
