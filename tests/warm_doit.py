"""`python -m doit` without a new Python's imports: a fork of the reliability tests' warm process runs doit's own main.

An import of doit and c10 costs ten times what a small run does. Where a variable that Python reads when it starts is
not as it was, the fork would not see it: then it is a new Python.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from reliability.project import How, Zygote

TIMEOUT_S = 300
_TESTS = str(Path(__file__).parent)
#: What Python reads once, when it starts.
_AT_START = ("PYTHON", "LC_", "LANG")

_warm: list[tuple[Zygote, dict[str, str]]] = []


def path_of_tests(environment: Mapping[str, str]) -> str:
    """Return the PYTHONPATH with which a dodo.py finds the tests' own modules."""
    return os.pathsep.join([_TESTS, *filter(None, [environment.get("PYTHONPATH")])])


def run_doit(
    folder: Path, arguments: Sequence[str], environment: Mapping[str, str], *, obeys_permissions: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run doit in a folder with exactly these variables; return its exit status and what it printed.

    ``obeys_permissions``: as somebody whom permissions bind, which root is not.
    """
    zygote, at_start = _started()
    names = {*environment, *at_start}
    changed = {name for name in names if environment.get(name) != at_start.get(name)}
    if any(name.startswith(_AT_START) for name in changed):
        assert not obeys_permissions, "a new Python keeps root's rights"
        return start_doit(folder, arguments, environment)
    how = How(
        env={name: environment[name] for name in changed & environment.keys()},
        unset=tuple(changed - environment.keys()),
        umask=_umask(),
        timeout=TIMEOUT_S,
        obeys_permissions=obeys_permissions,
    )
    return _forked(zygote, folder, list(arguments), how)


def close() -> None:
    """End the warm process, if there is one."""
    while _warm:
        _warm.pop()[0].close()


def _started() -> tuple[Zygote, dict[str, str]]:
    if not _warm:
        environment = {**os.environ, "PYTHONPATH": path_of_tests(os.environ)}
        _warm.append((Zygote(environment=environment), environment))
    return _warm[0]


def _forked(zygote: Zygote, folder: Path, arguments: list[str], how: How) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory(prefix="c10-doit-") as kept:
        out, err = Path(kept, "out"), Path(kept, "err")
        status, timed_out = zygote.wait(zygote.start(folder, arguments, out, err, how), how.timeout)
        assert not timed_out, out.read_text("utf-8") + err.read_text("utf-8")
        return subprocess.CompletedProcess(arguments, status, out.read_text("utf-8"), err.read_text("utf-8"))


def start_doit(
    folder: Path, arguments: Sequence[str], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run doit in a Python that starts with it."""
    command = [sys.executable, "-m", "doit", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def _umask() -> int:
    umask = os.umask(0o022)
    os.umask(umask)
    return umask
