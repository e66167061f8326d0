"""The main function of the compiling child: reads one job from stdin, writes messages to stdout.

Only messages go to the parent's end of stdout. What libraries print goes to stderr, which the parent reports if this
process dies.
"""

from __future__ import annotations

import os
import sys
from dataclasses import asdict

from c10.errors import ConfigError, EngineBuildError, PublishError, SourceError
from c10.host.parent import belong_to_parent
from c10.runtimes.messages import MessageStream, decode_job, encode_error


def main() -> None:
    """Compile the job on stdin."""
    messages = MessageStream(belong_to_parent())
    job = decode_job(sys.stdin.readline())
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
