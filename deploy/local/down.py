"""`make down`: stops all processes of an instance."""

from __future__ import annotations

from collections.abc import Mapping

from deploy.local import processes
from deploy.local.options import var_folder


def down(environ: Mapping[str, str]) -> None:
    """Stop the instance in the folder PENSTOCK_VAR; return once all of its processes have ended.

    Raises:
        RunnerError: some processes outlived SIGKILL.
    """
    var = var_folder(environ)
    running = processes.members(var)
    if not running:
        print(f"Nothing runs in {var}.")
        return
    print(f"Stopping {', '.join(map(str, running))}.", flush=True)
    processes.stop(var)
    print("Stopped.")
