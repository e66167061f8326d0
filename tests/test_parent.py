"""A child process of c10 ends with its parent, and only c10's own lines reach the parent."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

CHILD = """
import os, sys, time
from c10.host.parent import belong_to_parent
stream = belong_to_parent()
print("from a library")
stream.write("ready\\n")
stream.flush()
time.sleep(60)
"""
PARENT = f"""
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", {CHILD!r}])
time.sleep(60)
"""


@pytest.mark.process
def test_a_child_dies_with_its_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        parent.kill()
        parent.communicate(timeout=30)  # returns when the child is gone too, which holds the pipe and would sleep on


@pytest.mark.process
def test_only_the_stream_reaches_the_parent_and_ctrl_c_does_not_end_the_child() -> None:
    command = [sys.executable, "-c", CHILD.replace("time.sleep(60)", "sys.stdin.readline(); stream.write('done\\n')")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGINT)
        out, errors = child.communicate("go on\n", timeout=60)
    assert (child.returncode, out, errors) == (0, "done\n", "from a library\n")
