"""Runs each compile in a new child process.

TensorRT can crash, hang, or be killed for using too much memory. In a child, that is an EngineBuildError of one engine,
and the parent's memory does not grow with the corpus. The child belongs to doit's process group, so Ctrl-C reaches it,
and the kernel kills it when its parent dies.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

from c10.conversion.report import NetworkReport
from c10.corpus.runtimes import RUNTIME_OF, RuntimeKind
from c10.corpus.spec import BuildConfig
from c10.corpus.target import runtime_version
from c10.errors import EngineBuildError
from c10.files.pieces import PieceDigests
from c10.host import HostCapabilities
from c10.runtimes.messages import CompileJob, decode_error, encode_job
from c10.runtimes.protocol import BuildProgress, EngineCacheEntry, ProgressCallback
from c10.runtimes.timing import timing_cache_path

_LOG_LINES: Final = 20
_START: Final = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from c10.runtimes.child.worker import main; main()"
)


class IsolatedRuntime:
    """A built-in runtime, with each compile in a process of its own.

    ``kind``: which of them. ``host``: the machine that the engines are for.
    """

    def __init__(
        self,
        kind: RuntimeKind,
        host: HostCapabilities,
        *,
        inherit: tuple[int, ...] = (),
        cache_root: Path | None = None,
    ) -> None:
        """``inherit``: file descriptors that the child keeps open. ``cache_root``: None for that of ``output_path``."""
        self.kind: RuntimeKind = kind
        self.host = host
        self._inherit = inherit
        self._cache_root = cache_root

    def for_engine(self, engine_path: Path, lock: int) -> IsolatedRuntime:
        """Return a runtime like this one for one engine, with the timing cache of that engine's cache_root.

        Its child also holds the engine's lock, so the engine stays locked until the child has ended too.
        """
        return IsolatedRuntime(self.kind, self.host, inherit=(lock,), cache_root=engine_path.parent)

    def compile_engine(
        self,
        onnx_path: Path,
        build_config: BuildConfig,
        output_path: Path,
        *,
        progress: ProgressCallback | None = None,
    ) -> EngineCacheEntry:
        """Compile in a child; see CompileEngineCallable.

        Raises EngineBuildError (if the child died, with its signal or exit status, last messages and peak memory),
        PublishError, SourceError, and ConfigError for an entry of keep_fp32 that matches no node of the network.
        """
        timing = RUNTIME_OF[self.kind].on_device and build_config.options.timing_cache
        folder = self._cache_root or output_path.parent
        job = CompileJob(
            runtime=self.kind,
            version=runtime_version(self.kind, self.host),
            onnx_path=onnx_path,
            build_config=build_config,
            output_path=output_path,
            timing_cache_path=timing_cache_path(folder, self.host, self.kind) if timing else None,
        )
        child = _Child(job, progress or (lambda _: None), self._inherit)
        return child.result()


class _Child:
    """One compiling process, from its start to its exit status."""

    def __init__(self, job: CompileJob, progress: ProgressCallback, inherit: tuple[int, ...]) -> None:
        self._job = job
        self._progress = progress
        self._log: deque[str] = deque(maxlen=_LOG_LINES)
        self._timed_out = False
        with tempfile.TemporaryFile() as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START, json.dumps(sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                pass_fds=inherit,
            )
            self._answer = self._converse()
            self._stderr = _tail(stderr)

    def result(self) -> EngineCacheEntry:
        """Return the engine that the child built, or raise the error that stopped it."""
        if self._answer.get("event") == "done":
            return EngineCacheEntry(
                engine_path=self._job.output_path,
                sha256=self._answer["sha256"],
                size=self._answer["size"],
                peak_memory_mb=self._peak_memory_mb,
                network=NetworkReport.from_json(self._answer["network"]),
                pieces=PieceDigests.from_json(self._answer["pieces"]),
            )
        if self._answer.get("event") == "failed":
            raise decode_error(self._answer["error"])
        raise EngineBuildError(
            f"{self._job.onnx_path}: compile: expected an engine, got {self._death()}",
            remedy=self._advice(),
            # After a timeout they explain nothing: the compiler was slow, not broken.
            log=() if self._timed_out else (*self._log, *self._stderr),
        )

    def _converse(self) -> dict[str, Any]:
        timeout = self._job.build_config.options.timeout_s
        timer = threading.Timer(timeout or 0, self._time_out)
        if timeout:
            timer.start()
        answer: dict[str, Any] = {}
        try:
            answer = self._listen()
        finally:
            timer.cancel()
            if answer.get("event") not in {"done", "failed"}:
                self._kill()
            self._reap()
        return answer

    def _listen(self) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None  # noqa: S101 - for the type checker: both are pipes
        assert stdout is not None  # noqa: S101
        try:
            stdin.write(encode_job(self._job) + "\n")
            stdin.flush()
        except BrokenPipeError:
            return {}
        for line in stdout:
            message = json.loads(line)
            if message["event"] == "progress":
                self._progress(BuildProgress(message["phase"], message["step"], message["steps"]))
            elif message["event"] == "log":
                self._log.append(message["message"])
            else:
                return dict(message)
        return {}

    def _reap(self) -> None:
        # wait4 instead of Popen.wait, because it also returns this child's peak memory.
        _, status, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self._peak_memory_mb = usage.ru_maxrss >> 10
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def _kill(self) -> None:
        # Not Popen.kill, which reaps a child that is already dead, so that its peak memory would be lost.
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGKILL)

    def _time_out(self) -> None:
        self._timed_out = True
        self._kill()

    def _death(self) -> str:
        peak = f"peak memory {self._peak_memory_mb} MiB"
        if self._timed_out:
            return f"none within timeout_s = {self._job.build_config.options.timeout_s} ({peak})"
        code = self._process.returncode
        if code < 0:
            return f"a compiler killed by {signal.Signals(-code).name} ({peak})"
        return f"a compiler that ended with exit status {code} ({peak})"

    def _advice(self) -> str:
        if self._timed_out:
            return "Raise timeout_s in backbones.toml, or leave it out."
        if self._process.returncode == -signal.SIGKILL:
            return (
                "This is usually the kernel's out-of-memory killer (see `dmesg`): lower workspace_mb, or free memory."
            )
        return "The compiling process crashed, which no model should cause: report it to NVIDIA with the lines above."


def _tail(stream: IO[bytes]) -> tuple[str, ...]:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - (8 << 10)))
    return tuple(stream.read().decode("utf-8", "replace").splitlines()[-_LOG_LINES:])
