"""A warm Python with doit and c10 imported: forks a child for each ``doit …`` that it is asked for.

A case of the reliability tests costs tens of milliseconds so and not half a second. The child runs doit's own
``main``, as the ``doit`` program does. One JSON object a line on stdin and stdout: start, wait.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import resource
import secrets
import signal
import sqlite3
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import cryptography.hazmat.primitives.asymmetric.ed25519
import cryptography.hazmat.primitives.serialization
import doit.__main__
import doit.cmd_run
import portalocker
import rfc8785
import stub_runtime

import c10.building.build
import c10.cache.orphans
import c10.plugin.compiler
import c10.tasks

#: Imported here, once. A child that has given up root may not even be able to read Python's own modules.
WARM = (
    cryptography,
    doit.cmd_run,
    portalocker,
    rfc8785,
    sqlite3,
    stub_runtime,
    c10.building.build,
    c10.plugin.compiler,
    c10.tasks,
    c10.cache.orphans,
)
POLL_S = 0.002
_PR_CAPBSET_DROP, _DAC_OVERRIDE, _DAC_READ_SEARCH, _CAPABILITY_VERSION_3 = 24, 1, 2, 0x20080522  # <linux/capability.h>


def main() -> None:
    """Serve until stdin ends."""
    for line in sys.stdin:
        job = json.loads(line)
        answer = _wait(job) if job["op"] == "wait" else {"pid": _start(job)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _start(job: dict[str, Any]) -> int:
    pid = os.fork()
    if pid == 0:
        status = 120
        try:
            status = _child(job)
        finally:
            os._exit(status)
    return pid


def _wait(job: dict[str, Any]) -> dict[str, Any]:
    deadline = time.monotonic() + job["timeout"]
    timed_out = False
    while True:
        pid, status = os.waitpid(job["pid"], os.WNOHANG)
        if pid:
            return {"status": os.waitstatus_to_exitcode(status), "timed_out": timed_out}
        if time.monotonic() > deadline and not timed_out:
            timed_out = True
            os.killpg(job["pid"], signal.SIGKILL)
        time.sleep(POLL_S)


def _child(job: dict[str, Any]) -> int:
    os.setpgid(0, 0)
    _redirect(job)
    os.environ.update(job["env"])
    for name in job["unset"]:
        os.environ.pop(name, None)
    os.umask(job["umask"])
    for name, value in job["limits"].items():
        resource.setrlimit(getattr(resource, name), (value, value))
    if job["obeys_permissions"]:
        _obey_permissions()
    if job["uid"]:
        os.setgroups([])
        os.setgid(job["uid"])
        os.setuid(job["uid"])
    os.chdir(job["cwd"])
    if job["tokens"]:
        numbers = itertools.count(1)
        secrets.token_hex = lambda _: f"{job['tokens']}{next(numbers):04x}"
    if job["traced"]:
        _await_tracer()
    sys.argv = ["doit", *job["argv"]]
    try:
        doit.__main__.main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - as Python itself would end
        traceback.print_exc()
        status = 121
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def _obey_permissions() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in _DAC_OVERRIDE, _DAC_READ_SEARCH:
        # Programs started from here do not get the capability back. The call fails, harmlessly, without CAP_SETPCAP.
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    header, sets = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    if libc.capget(header, sets):
        raise OSError(ctypes.get_errno(), "capget")
    for index in range(3):  # effective, permitted, inheritable
        sets[index] &= ~(1 << _DAC_OVERRIDE | 1 << _DAC_READ_SEARCH) & 0xFFFFFFFF
    if libc.capset(header, sets):
        raise OSError(ctypes.get_errno(), "capset")


def _redirect(job: dict[str, Any]) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(job[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), number)
    sys.stdin = os.fdopen(0)
    sys.stdout = os.fdopen(1, "w", buffering=1)
    sys.stderr = os.fdopen(2, "w", buffering=1)


def _await_tracer() -> None:
    status = Path("/proc/self/status")
    while "TracerPid:\t0\n" in status.read_text("ascii"):
        time.sleep(0.001)
    time.sleep(0.005)  # the tracer has seized this process and is about to stop it


if __name__ == "__main__":
    main()
