"""The measuring process's main: one job from stdin, one answer to stdout.

stdout belongs to the answer; whatever a library prints goes to stderr, which the parent keeps for the case that this
process dies.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from c10.errors import C10Error
from c10.host.parent import belong_to_parent
from c10.measurement.compare import compare
from c10.measurement.job import MeasurementJob, decode_job
from c10.measurement.report import NotMeasuredError

_MEBI: Final = 1 << 20
#: How ONNX Runtime says that the memory is used up; its error is no MemoryError.
_FULL: Final = ("bad_alloc", "Failed to allocate memory", "bad allocation")


def main() -> None:
    """Measure what stdin asks for."""
    answers = belong_to_parent()
    job = decode_job(sys.stdin.readline())
    folder = Path(sys.stdin.readline().rstrip("\n"))
    answers.write(json.dumps(_answer(job, folder)) + "\n")
    answers.flush()
    os._exit(0)  # nothing is left to do, and libraries have crashed while they were taken down


def _answer(job: MeasurementJob, folder: Path) -> dict[str, Any]:
    limit = _limit_memory(job.limits.memory_mb)
    try:
        return {"report": compare(job, folder).to_json()}
    except MemoryError:
        return {"not_measured": _out_of_memory(limit)}
    except NotMeasuredError as error:
        return {"not_measured": _out_of_memory(limit) if any(words in str(error) for words in _FULL) else str(error)}
    except C10Error as error:
        return {"error": error.message, "remedy": error.remedy}


def _limit_memory(megabytes: int | None) -> int:
    """Limit what this process may allocate, and offer it first to the kernel if memory runs out; return MiB.

    RLIMIT_DATA counts private memory alone: files that are mapped for reading, such as weights, are free.
    """
    if megabytes is None:
        megabytes = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // _MEBI
        with suppress(OSError, StopIteration, ValueError, IndexError):
            lines = Path("/proc/meminfo").read_text("ascii").splitlines()
            megabytes = int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]) >> 10
        megabytes = megabytes * 4 // 5
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = megabytes * _MEBI
    ceilings = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min([wanted, *ceilings]), hard))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", "ascii")
    return megabytes


def _out_of_memory(megabytes: int) -> str:
    return f"it needs more than {megabytes} MiB of memory"
