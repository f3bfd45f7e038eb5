"""`make up`: starts an instance, checks that it works, and follows its logs."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deploy.local import dev_env, processes
from deploy.local.errors import RunnerError
from deploy.local.http import ask
from deploy.local.instance import Instance, load
from deploy.local.logs import Logs
from deploy.local.options import make_down, var_folder
from deploy.local.ports import require_free
from deploy.local.private_files import write_private
from deploy.local.redis_server import find_server, write_config
from deploy.local.signals import interrupt_again
from deploy.local.supervisor_conf import GRACE_S, log_path, render
from deploy.local.welcome import welcome

_POLL_S = 0.2
_MOST_EXITS = 5
"""Exits of one process before all is ready, after which the start is given up."""


def up(root: Path, environ: Mapping[str, str]) -> None:
    """Run an instance of the repository in `root` until a signal or `make down` stops it.

    With DETACH set, return once it works and leave it running.

    Raises:
        RunnerError: it could not start, was not ready in time, or its supervisor failed.
        KeyboardInterrupt: a signal came before it was ready.
    """
    var = var_folder(environ)
    with _only_one(var):
        _clear(var)
        instance = load(root, environ)
        require_free(instance.addresses)
        _say_what_is_unused(instance, environ)
        conf = _write_files(instance)
        logs = _logs(instance)
        left_running = False
        try:
            supervisor = _start(instance, conf)
            welcome_text = _prove(instance, supervisor, logs)
            if instance.options.detach:
                left_running = True
                print(welcome_text)
            else:
                _follow(supervisor, logs, welcome_text)
        finally:
            if not left_running:
                _stop(var, logs)


@contextmanager
def _only_one(var: Path) -> Iterator[None]:
    """Hold the folder's lock, which the kernel releases when this process ends."""
    var.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (var / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _already_running(var) from None
        yield


def _clear(var: Path) -> None:
    """Refuse a second instance in the folder; stop processes that a killed supervisor left."""
    running = processes.members(var)
    if any(member.program == "supervisor" for member in running):
        raise _already_running(var)
    if running:
        print(f"Its supervisor was killed, so these are stopped first: {_listed(running)}.")
        processes.stop(var)


def _already_running(var: Path) -> RunnerError:
    running = _listed(processes.members(var)) or "just starting"
    return RunnerError(
        f"An instance already runs in {var}: {running}.\n"
        f"To stop it: {make_down(var)}. To start another one beside it, choose another "
        "PENSTOCK_VAR, PENSTOCK_PORT, FLOWER_PORT and REDIS_PORT."
    )


def _listed(members: list[processes.Member]) -> str:
    return ", ".join(map(str, members))


def _say_what_is_unused(instance: Instance, environ: Mapping[str, str]) -> None:
    unused = [
        name for name in dev_env.SECRETS if environ.get(name, "") not in ("", instance.env[name])
    ]
    if unused:
        print(
            f"Not used, since {instance.keys} goes first: {', '.join(unused)} of the environment."
        )


def _write_files(instance: Instance) -> Path:
    """Write the configuration files; return the path of supervisord.conf."""
    instance.logs.mkdir(mode=0o700, exist_ok=True)
    dev_env.save(instance.keys, instance.kept)
    redis_conf = write_config(
        instance.var / "redis",
        port=instance.redis.port,
        password=instance.settings.redis_password,
        appendfsync=instance.options.appendfsync,
        maxmemory_bytes=instance.options.maxmemory_bytes,
    )
    conf = instance.var / "supervisord.conf"
    redis = (find_server(), redis_conf)
    text = render(var=instance.var, logs=instance.logs, redis=redis, commands=instance.commands)
    write_private(conf, text)
    return conf


def _logs(instance: Instance) -> Logs:
    names = instance.processes
    shown = ("supervisor",) if instance.options.detach else names
    return Logs({name: log_path(instance.logs, name) for name in names}, shown)


def _start(instance: Instance, conf: Path) -> subprocess.Popen[bytes]:
    print(f"Starting {', '.join(instance.commands)} and Redis; their logs are in {instance.logs}")
    with log_path(instance.logs, "supervisor").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "--configuration", str(conf)],
            cwd=instance.root,
            env=dict(instance.env),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # Ctrl-C in the terminal must reach this process only.
            start_new_session=True,
        )


def _prove(instance: Instance, supervisor: subprocess.Popen[bytes], logs: Logs) -> str:
    """Wait until the instance is ready; return its answer to a first job."""
    deadline = time.monotonic() + instance.options.up_timeout_s
    try:
        _wait_until_ready(instance, supervisor, logs, deadline)
        return welcome(instance, deadline)
    except RunnerError as error:
        raise RunnerError(f"{logs.explain()}\n\n{error}") from None


def _wait_until_ready(
    instance: Instance, supervisor: subprocess.Popen[bytes], logs: Logs, deadline: float
) -> None:
    while (answer := ask(instance.web, "/readyz")).json().get("status") != "ready":
        if (status := supervisor.poll()) is not None:
            raise RunnerError(f"The supervisor ended (status {status}) before all was ready.")
        if failing := [name for name, count in logs.exits().items() if count >= _MOST_EXITS]:
            raise RunnerError(f"{' and '.join(failing)} ended {_MOST_EXITS} times; giving up.")
        if time.monotonic() > deadline:
            raise RunnerError(
                f"Not ready after {instance.options.up_timeout_s} s (PENSTOCK_UP_TIMEOUT_S). "
                f"GET {instance.web.url}/readyz said last: {answer.status or ''} {answer.text}"
            )
        logs.print_new()
        time.sleep(_POLL_S)


def _follow(supervisor: subprocess.Popen[bytes], logs: Logs, welcome_text: str) -> None:
    """Print the logs until a signal comes or the supervisor ends."""
    try:
        print(welcome_text)
        while (status := supervisor.poll()) is None:
            logs.print_new()
            time.sleep(_POLL_S)
    except KeyboardInterrupt:
        return
    if status != 0:
        raise RunnerError(f"The supervisor failed (status {status}).")


def _stop(var: Path, logs: Logs) -> None:
    print(f"\nStopping; running batches have {GRACE_S} s to end. Ctrl-C again kills at once.")
    try:
        interrupt_again()
        processes.stop(var)
    except KeyboardInterrupt:
        processes.kill(var)
    logs.print_new()
    logs.close()
    print("Stopped.")
