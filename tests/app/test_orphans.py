"""A process whose parent is gone ends itself."""

from __future__ import annotations

import subprocess
import sys

import psutil

from tests.eventually import eventually

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
child.wait()
"""
CHILD = """
import os, signal
from app.orphans import end_with_parent
end_with_parent(os.getppid())
print("watching", flush=True)
signal.pause()
"""


def test_a_process_ends_with_its_parent() -> None:
    command = [sys.executable, "-c", PARENT, CHILD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        assert child.is_running()
        parent.kill()
    eventually(lambda: not child.is_running(), "the end of the child")
