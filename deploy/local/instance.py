"""A Penstock instance on this machine: its folder, settings, processes and their environment."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local import dev_env, procfile
from deploy.local.errors import RunnerError
from deploy.local.options import Options, var_folder
from deploy.local.ports import Address, free_block
from deploy.local.processes import MARK
from tasks.config.settings import Settings, SettingsError
from tasks.jobs.lanes import Lane
from tasks.telemetry.metrics.server import port_of

_LOOPBACK = "127.0.0.1"
_WEBHOOK_DEMO = {"webhook-demo": "python examples/webhook_receiver.py"}


@dataclass(frozen=True, kw_only=True)
class Instance:
    """All that a start needs, read and checked; nothing is written yet."""

    root: Path
    """The repository, in which every process runs."""
    commands: Mapping[str, str]
    """The Procfile's processes, and the webhook demo if it is switched on."""
    options: Options
    settings: Settings
    env: Mapping[str, str]
    """The complete environment of every process."""

    @property
    def var(self) -> Path:
        """The folder of all files of the instance."""
        return self.options.var

    @property
    def keys(self) -> Path:
        """The file with the keys and addresses."""
        return self.var / "dev.env"

    @property
    def logs(self) -> Path:
        """The folder of the log files."""
        return self.var / "log"

    @property
    def processes(self) -> tuple[str, ...]:
        """The names of everything that runs."""
        return ("supervisor", "redis", *self.commands)

    @property
    def kept(self) -> dict[str, str]:
        """The variables that `dev.env` stores."""
        return {
            "PENSTOCK_URL": self.web.url,
            "PENSTOCK_API_KEY": self.env["PENSTOCK_API_KEY"],
            "FLOWER_URL": self.flower.url,
            **dev_env.secrets_of(self.env),
        }

    @property
    def addresses(self) -> list[Address]:
        """The addresses on which its processes listen."""
        demo = [self.webhook_demo] if self.webhook_demo else []
        return [self.web, self.flower, self.redis, *self.metrics, *demo]

    @property
    def web(self) -> Address:
        """The address of the API."""
        return Address("PENSTOCK_PORT", self.settings.host, self.settings.port)

    @property
    def flower(self) -> Address:
        """The address of Flower."""
        return Address("FLOWER_PORT", self.settings.host, self.settings.flower_port)

    @property
    def metrics(self) -> list[Address]:
        """The addresses of the workers' metrics."""
        ports = [port_of(self.settings, lane) for lane in Lane]
        host = self.settings.host
        return [Address("PENSTOCK_METRICS_PORT", host, port) for port in sorted(ports) if port]

    @property
    def webhook_demo(self) -> Address | None:
        """The address of the webhook demo, if it is switched on."""
        options = self.options
        if not options.webhook_demo:
            return None
        return Address("WEBHOOK_DEMO_PORT", _LOOPBACK, options.webhook_demo_port)

    @property
    def redis(self) -> Address:
        """The address of Redis."""
        return Address("REDIS_PORT", _LOOPBACK, self.settings.redis_port)


def load(root: Path, environ: Mapping[str, str]) -> Instance:
    """Put an instance together from the Procfile, the environment and `dev.env`.

    The environment takes precedence over `dev.env`, except for the secrets: they come from the
    file, so that the file always has the valid ones.

    Raises:
        RunnerError: a value is missing or wrong; the text says what would be right.
    """
    commands = procfile.read(root / "Procfile")
    var = var_folder(environ)
    on_file = dev_env.read(var / "dev.env")
    chosen = {**dev_env.DEVELOPMENT, **on_file, **environ}
    env = {**chosen, **dev_env.secrets_of(on_file), "PENSTOCK_VAR": str(var)}
    options, settings = Options.from_env(env), _settings(env)
    if not env.get("PENSTOCK_METRICS_PORT"):  # several instances may run side by side
        port = free_block(settings.host, settings.metrics_port, len(Lane))
        env["PENSTOCK_METRICS_PORT"] = str(port)
        settings = dataclasses.replace(settings, metrics_port=port)
    if options.webhook_demo:
        commands |= _demo(settings)
    return Instance(
        root=root,
        commands=commands,
        options=options,
        settings=settings,
        env=_process_env(env, var),
    )


def _settings(env: Mapping[str, str]) -> Settings:
    try:
        settings = Settings.from_env(env)
    except SettingsError as error:
        raise RunnerError(str(error)) from None
    if settings.redis_host not in (_LOOPBACK, "localhost"):
        raise RunnerError(
            f"REDIS_HOST={settings.redis_host!r} is not valid here: `make up` starts its own Redis "
            f"on {_LOOPBACK}. To use another Redis, start the Procfile's processes without it."
        )
    return settings


def _demo(settings: Settings) -> dict[str, str]:
    if _LOOPBACK not in settings.webhook_http_hosts:
        raise RunnerError(
            f"WEBHOOK_DEMO receives webhooks on {_LOOPBACK}, which must be among "
            f"PENSTOCK_WEBHOOK_HTTP_HOSTS, as it is unless you set that."
        )
    return _WEBHOOK_DEMO


def _process_env(env: Mapping[str, str], var: Path) -> dict[str, str]:
    inherited = {k: v for k, v in env.items() if not k.startswith("SUPERVISOR_")}
    return {
        **inherited,
        MARK: str(var),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), env.get("PATH", os.defpath)]),
        "PYTHONUNBUFFERED": "1",
        "PENSTOCK_METRICS_DIR": env.get("PENSTOCK_METRICS_DIR") or str(var / "metrics"),
    }
