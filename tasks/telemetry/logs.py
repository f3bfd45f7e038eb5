"""Structured logs: one JSON object a line, or coloured text for people (LOG_FORMAT=console).

Lines reach standard error in two ways. Occasional messages go through `logging`, as those of
libraries do, so that handlers installed there (Sentry's) see them. Loggers that write a line per
request, job or batch (`DIRECT_LOGGERS`) write to standard error directly, at a quarter of the cost;
no handler of `logging` sees those lines.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from contextlib import suppress
from typing import Any, BinaryIO

import orjson
import structlog

from tasks.config.settings import Settings

ACCESS_LOG = "penstock.access"
JOB_LOG = "penstock.jobs"
BATCH_LOG = "penstock.batches"
DIRECT_LOGGERS = {ACCESS_LOG, JOB_LOG, BATCH_LOG}


def configure_logs(settings: Settings) -> None:
    """Send our logs and those of libraries to standard error, in one format."""
    console = settings.log_format == "console"
    last: Any = _console_renderer() if console else structlog.processors.JSONRenderer()
    form = "%H:%M:%S.%f" if console else "iso"
    shared: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt=form, utc=not console),
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            last,
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=settings.log_level, force=True)
    structlog.configure(
        processors=[*shared, _render],
        logger_factory=structlog.stdlib.LoggerFactory() if console else _logger,
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[settings.log_level]
        ),
        cache_logger_on_first_use=True,
    )


def get_logger(name: str) -> Any:
    """A structured logger with the name of a module, or of `DIRECT_LOGGERS`."""
    return structlog.get_logger(name)


def _console_renderer() -> Any:
    """Console format; fields keep the order in which they were given."""
    colours = not os.environ.get("NO_COLOR")  # https://no-color.org
    return structlog.dev.ConsoleRenderer(colors=colours, sort_keys=False, pad_event_to=16)


def _logger(name: str) -> Any:
    """The underlying logger for a name: direct output, or `logging`."""
    if name in DIRECT_LOGGERS:
        return structlog.BytesLogger(_FaultTolerantFile(sys.stderr.buffer))  # type: ignore[arg-type]
    return logging.getLogger(name)


class _FaultTolerantFile:
    """A file that ignores failed writes (full disk, closed pipe), as `logging` does by itself."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, line: bytes) -> None:
        with suppress(OSError):
            self._file.write(line)

    def flush(self) -> None:
        with suppress(OSError):
            self._file.flush()


def _render(logger: Any, method: str, event: Any) -> Any:
    """Last processor: bytes for direct loggers, else the event for the formatter of `logging`."""
    if isinstance(logger, structlog.BytesLogger):
        return _line(event)
    return structlog.stdlib.ProcessorFormatter.wrap_for_formatter(logger, method, event)


def _line(event: Any) -> bytes:
    try:
        return orjson.dumps(event, default=repr)
    except TypeError:  # text that is not UTF-8, or a number beyond 64 bits
        return json.dumps(event, default=repr).encode()
