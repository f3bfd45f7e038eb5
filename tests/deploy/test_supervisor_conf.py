"""What supervisord itself makes of the configuration that is written for it."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from supervisor.options import ServerOptions

from deploy.local.supervisor_conf import GRACE_S, render

COMMANDS = {"web": "python -m app", "gpu-worker": "python -m tasks.worker 'gpu lane'"}


@pytest.fixture
def groups(tmp_path: Path) -> dict[str, Any]:
    """Process groups by name, as supervisord reads them."""
    conf = tmp_path / "supervisord.conf"
    server = Path("/opt/my redis/redis-server")
    conf.write_text(
        render(var=tmp_path, logs=tmp_path, redis=(server, Path("/r.conf")), commands=COMMANDS)
    )
    options = ServerOptions()
    options.realize(["--configuration", str(conf)])
    assert options.nodaemon
    return {group.name: group for group in options.process_group_configs}


def test_redis_starts_first_and_stops_last_and_all_others_stop_together(
    groups: dict[str, Any],
) -> None:
    assert set(groups) == {"redis", "penstock"}
    assert groups["redis"].priority < groups["penstock"].priority
    assert {p.name: p.command for p in groups["penstock"].process_configs} == COMMANDS
    (redis,) = groups["redis"].process_configs
    assert redis.command == "'/opt/my redis/redis-server' /r.conf"


def test_each_process_is_restarted_and_stopped_by_its_parent_alone(
    groups: dict[str, Any], tmp_path: Path
) -> None:
    for process in [p for group in groups.values() for p in group.process_configs]:
        assert process.autorestart.__name__ == "RestartUnconditionally"
        assert process.startretries > 100_000
        assert process.stopsignal == signal.SIGTERM
        assert process.stopasgroup is False
        assert process.killasgroup is True
        assert process.stopwaitsecs == GRACE_S
        assert process.redirect_stderr is True
        assert process.stdout_logfile == str(tmp_path / f"{process.name}.log")
        assert process.stdout_logfile_maxbytes > 0
