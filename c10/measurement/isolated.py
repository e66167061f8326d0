"""A measurement in a fresh child process, bounded in time and memory.

ONNX Runtime can crash, be killed for memory, or take long: in the child that is a report that says so. The child is in
doit's process group (Ctrl-C reaches it) and dies with its parent.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from c10.errors import SourceError
from c10.measurement.job import MeasurementJob, encode_job, report_of
from c10.measurement.report import MISSING, MeasurementReport

_START: Final = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from c10.measurement.worker import main; main()"
)


def measure(job: MeasurementJob) -> MeasurementReport:
    """Run both networks on the same inputs in a child process, and return how far their outputs are apart.

    If there are no numbers, the report's ``not_measured`` says why: the library is missing, a network does not run, a
    limit was reached, the process died. Raises SourceError for a sample that cannot be read or does not fit the model,
    and for an ONNX that cannot be read.
    """
    if find_spec("onnxruntime") is None:
        return report_of(job, not_measured=MISSING)
    # Beside the converted network, where there is room for a copy of it.
    with tempfile.TemporaryDirectory(prefix="c10-measurement-", dir=job.converted_path.parent) as folder:
        answer = _answer(job, Path(folder))
    if "report" in answer:
        return MeasurementReport.from_json(answer["report"])
    if "error" in answer:
        raise SourceError(answer["error"], remedy=answer["remedy"])
    return report_of(job, not_measured=answer["not_measured"])


def _answer(job: MeasurementJob, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-I", "-c", _START, json.dumps(sys.path)]
    try:
        # On a timeout, and on Ctrl-C, run kills the child before it raises.
        done = subprocess.run(
            command,
            input=f"{encode_job(job)}\n{folder}\n",
            capture_output=True,
            text=True,
            errors="replace",
            timeout=job.limits.seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"not_measured": f"it takes longer than {job.limits.seconds} s"}
    try:
        return dict(json.loads(done.stdout))
    except ValueError:
        return {"not_measured": _death(done)}


def _death(done: subprocess.CompletedProcess[str]) -> str:
    said = (done.stderr.strip().splitlines() or [""])[-1][:300]
    by_signal = done.returncode < 0
    how = f"was killed by {signal.Signals(-done.returncode).name}" if by_signal else f"ended with {done.returncode}"
    return f"the measuring process {how}{': ' if said else ''}{said}"
