"""A process exits when its parent has died, however early that was."""

from __future__ import annotations

import os
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
from app.server.parent_watch import exit_with_parent
exit_with_parent(os.getppid())
print("watching", flush=True)
signal.pause()
"""
LATE = """
import os, signal
from app.server.parent_watch import exit_with_parent
exit_with_parent({parent})
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


def test_a_process_whose_parent_died_before_it_looked_ends_too() -> None:
    not_its_parent = os.getppid()
    program = LATE.format(parent=not_its_parent)
    with subprocess.Popen([sys.executable, "-c", program]) as child:
        assert child.wait(30) == -9
