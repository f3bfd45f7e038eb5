"""Renders the supervisord configuration of Redis and the Procfile's processes.

http://supervisord.org/configuration.html explains the keys. The choices and their reasons:

- No control socket: signals are enough, and a socket's path may be at most 107 bytes long.
- Redis is a group of its own with the lowest priority number. Supervisor starts groups in
  ascending order and stops them in descending order, each only once the one before is down; so
  Redis stops last, after all processes that write to it. All others are one group, whose
  processes stop side by side and share one grace period.
- SIGTERM goes to the process alone: Celery's parent must outlive its pool to finish what that
  holds. What outlives the grace is killed with its whole process group.
- A process that ends within `_START_S` counts as failed to start and is tried again after 1, 2,
  3 ... seconds, without end. Supervisor has no upper bound for that wait, but a fault that lasted
  T seconds has it wait sqrt(2 T) at most: 35 s after 10 minutes, 85 s after an hour.
"""

from __future__ import annotations

import os
import resource
import shlex
from collections.abc import Mapping
from pathlib import Path

GRACE_S = 30
"""Grace period in seconds: a process that has not stopped by then is killed."""

_START_S = 10
_FILES = 4_096
"""Limit of open files of a process: 600 waiting clients on the web process, and a reserve."""

_SUPERVISOR = """\
; Written by deploy/local/supervisor_conf.py at every start: edits are lost.
[supervisord]
nodaemon=true
silent=true
logfile={log}
logfile_maxbytes=20MB
logfile_backups=3
pidfile={pidfile}
minfds={files}
{user}"""

_PROGRAM = """
[program:{name}]
command={command}
priority={priority}
autorestart=true
startsecs={start_s}
startretries=1000000
stopsignal=TERM
stopwaitsecs={grace_s}
stopasgroup=false
killasgroup=true
redirect_stderr=true
stdout_logfile={log}
stdout_logfile_maxbytes=20MB
stdout_logfile_backups=3
"""

_GROUP = """
[group:penstock]
programs={names}
priority=999
"""


def log_path(logs: Path, name: str) -> Path:
    """Return the log file of the process `name`."""
    return logs / f"{name}.log"


def render(*, var: Path, logs: Path, redis: tuple[Path, Path], commands: Mapping[str, str]) -> str:
    """Return the text of supervisord.conf.

    Args:
        var: folder of the pid file.
        logs: folder of the log files.
        redis: the server's binary and its redis.conf.
        commands: the Procfile's processes.

    No value may have a `%`: supervisord expands them, some values twice, and lists its whole
    environment when it fails. `options.var_folder` and `procfile.read` see to that.
    """
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    supervisor = _SUPERVISOR.format(
        log=log_path(logs, "supervisor"),
        pidfile=var / "supervisord.pid",
        files=files,
        # Root that is not asked for by name is a critical event to supervisord.
        user="user=root\n" if os.geteuid() == 0 else "",
    )
    programs = [_program(logs, "redis", shlex.join(map(str, redis)), priority=1)]
    programs += [_program(logs, name, command, priority=999) for name, command in commands.items()]
    return supervisor + "".join(programs) + _GROUP.format(names=",".join(commands))


def _program(logs: Path, name: str, command: str, *, priority: int) -> str:
    return _PROGRAM.format(
        name=name,
        command=command,
        priority=priority,
        start_s=_START_S,
        grace_s=GRACE_S,
        log=log_path(logs, name),
    )
