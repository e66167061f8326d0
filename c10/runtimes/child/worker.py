"""The main function of the compiling child: reads one job from stdin, writes messages to stdout.

Only messages go to the parent's end of stdout. What libraries print goes to stderr, which the parent reports if this
process dies.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from dataclasses import asdict
from typing import Final

from c10.errors import ConfigError, EngineBuildError, PublishError, SourceError
from c10.runtimes.messages import MessageStream, decode_job, encode_error

_PR_SET_PDEATHSIG: Final = 1


def main() -> None:
    """Compile the job on stdin."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets Ctrl-C as well, and ends this process
    messages = MessageStream(os.fdopen(os.dup(1), "w"))
    os.dup2(2, 1)
    job = decode_job(sys.stdin.readline())
    if os.getppid() != parent:  # the parent died before prctl took effect
        return
    from c10.runtimes.child.build import build_engine  # imports a compiler

    try:
        engine, report = build_engine(job, messages)
    except (EngineBuildError, PublishError, SourceError, ConfigError) as error:
        messages.send("failed", error=encode_error(error))
    except MemoryError:
        remedy = "Lower workspace_mb or free memory."
        full = EngineBuildError(f"{job.onnx_path}: compile: out of memory", remedy=remedy)
        messages.send("failed", error=encode_error(full))
    else:
        messages.send("done", **asdict(engine), network=asdict(report))
    sys.stdout.flush()
    os._exit(0)  # skips the cleanup of libraries, which has crashed before
