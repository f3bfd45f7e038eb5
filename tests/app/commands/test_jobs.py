from __future__ import annotations

from dataclasses import replace

import pytest
from flask import Flask

from app.commands.register import register_commands
from app.factory import create_app
from tasks.config.settings import Settings
from tasks.store.client import Store
from tests.ports import free_port
from tests.tasks.jobs.test_dead_letters import kill_three_workers_over_it
from tests.tasks.lanes import put


def test_dead_units_are_listed_and_requeued_by_command(app: Flask, store: Store) -> None:
    receipt = put(store)
    kill_three_workers_over_it(store, receipt.job_id)
    runner = app.test_cli_runner()
    listed = runner.invoke(args=["jobs", "dead"])
    assert receipt.job_id in listed.output
    requeued = runner.invoke(args=["jobs", "requeue", receipt.job_id])
    assert requeued.output.startswith("job_")
    assert store.redis.exists(f"ps:job:{requeued.output.strip()}") == 1


def test_requeuing_an_unknown_job_says_so(app: Flask) -> None:
    refused = app.test_cli_runner().invoke(args=["jobs", "requeue", "job_x"])
    assert refused.exit_code == 1
    assert "No dead letter belongs to job_x. `flask jobs dead` lists" in refused.output


@pytest.mark.parametrize("command", [["jobs", "dead"], ["jobs", "requeue", "x"], ["keys", "list"]])
def test_without_redis_a_command_says_where_it_looked(
    settings: Settings, command: list[str]
) -> None:
    nowhere = create_app(replace(settings, redis_port=(port := free_port())))
    register_commands(nowhere)
    result = nowhere.test_cli_runner().invoke(args=command)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: The job store does not answer: Error 111 connecting")
    assert f":{port}. Connection refused. REDIS_HOST, REDIS_PORT and" in result.stderr
    assert result.stdout == ""
