"""ONNX → serialized engine: one code path over TensorRT 10.x, 11.x and TensorRT-RTX.

The differences between the three are in ``options`` (which options each has) and ``configure`` (how each option is
set).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NoReturn

from c10.conversion.report import NetworkReport
from c10.corpus.runtimes import RUNTIME_OF
from c10.errors import EngineBuildError
from c10.files.pieces import FileDigests
from c10.files.sidecar import Sha256Sidecar
from c10.runtimes.child.configure import configure, network_flags
from c10.runtimes.child.network import check_profiles, describe_inputs
from c10.runtimes.child.source import Source, source_of
from c10.runtimes.options import generation, is_strongly_typed, refuse_unsupported
from c10.runtimes.protocol import BuildProgress
from c10.runtimes.timing import load_timing_cache, save_timing_cache

if TYPE_CHECKING:
    import tensorrt

    from c10.runtimes.messages import CompileJob, MessageStream

_WARNINGS_MAX: Final = 20  # lines; a parser may warn about every node


def build_engine(job: CompileJob, messages: MessageStream) -> tuple[FileDigests, NetworkReport]:
    """Compile and publish an engine; return its digests and size, and the report about its network.

    Raises EngineBuildError, CalibrationCacheError, PublishError, SourceError, ConfigError.
    """
    column = generation(job.runtime, job.version)
    refuse_unsupported(job.onnx_path.name, job.build_config, column)
    trt = _import_compiler(job)
    strong = is_strongly_typed(job.build_config, column)
    build = _Build(trt, job, messages, strong=strong)
    with source_of(job, strong=strong, progress=lambda phase: messages.progress(BuildProgress(phase))) as source:
        network = build.parse(source)
    build.check(network)
    data = memoryview(build.serialize(network))
    messages.progress(BuildProgress("Publishing"))
    published = Sha256Sidecar.write(job.output_path, data)
    return published, replace(source.report, warnings=(*source.report.warnings, *build.warnings()))


def _import_compiler(job: CompileJob) -> Any:
    name = RUNTIME_OF[job.runtime].word
    try:
        trt = importlib.import_module(name)
    except ImportError as error:
        raise EngineBuildError(f"{name}: expected the Python package, got {error}") from error
    found, expected = trt.__version__.split("."), job.version.split(".")
    shared = min(len(found), len(expected))
    if found[:shared] != expected[:shared]:
        raise EngineBuildError(
            f"{name}: expected version {job.version}, as probed, got {trt.__version__}",
            remedy="Two installations of it are mixed: remove one.",
        )
    return trt


class _Build:
    """One builder, its logger, and the messages of both."""

    def __init__(self, trt: Any, job: CompileJob, messages: MessageStream, *, strong: bool) -> None:
        self._trt = trt
        self._job = job
        self._messages = messages
        self._strong = strong
        self._errors: list[str] = []
        self._warnings: list[str] = []
        self._logger = _logger(trt, self._log)
        self._builder: tensorrt.Builder = trt.Builder(self._logger)
        self._load_plugins()

    def parse(self, source: Source) -> tensorrt.INetworkDefinition:
        """Return the network that the source describes."""
        self._messages.progress(BuildProgress("Parsing"))
        self._changed = source.report.converted
        network = self._builder.create_network(network_flags(self._trt, strong=self._strong))
        # The parser must outlive the network, because it owns the network's weights.
        self._parser: tensorrt.OnnxParser = self._trt.OnnxParser(network, self._logger)
        if source.content is None:
            ok = self._parser.parse_from_file(str(source.path))
        else:
            ok = self._parser.parse(source.content)
        if not ok:
            self._fail("parse", "a network", "none")
        if network.num_outputs == 0:
            self._fail("parse", "a network", "one without outputs (is the file truncated?)")
        return network

    def check(self, network: tensorrt.INetworkDefinition) -> None:
        """Raise EngineBuildError if the configured shapes do not fit the network."""
        check_profiles(self._job.onnx_path, network, self._job.build_config.profiles)

    def warnings(self) -> tuple[str, ...]:
        """Return TensorRT's warnings, each once, at most _WARNINGS_MAX."""
        return tuple(dict.fromkeys(self._warnings))[:_WARNINGS_MAX]

    def serialize(self, network: tensorrt.INetworkDefinition) -> tensorrt.IHostMemory:
        """Return the engine's bytes, in memory that TensorRT owns."""
        job = self._job
        config = configure(
            self._trt, self._builder, network, job.build_config, version=job.version, strong=self._strong
        )
        config.progress_monitor = _progress_monitor(self._trt, self._messages)
        if job.timing_cache_path is not None:
            load_timing_cache(config, job.timing_cache_path)
        memory = self._builder.build_serialized_network(network, config)
        if memory is None:
            self._fail("build", "an engine", "none", describe_inputs(network))
        if job.timing_cache_path is not None:
            save_timing_cache(config, job.timing_cache_path)
        return memory

    def _load_plugins(self) -> None:
        if not RUNTIME_OF[self._job.runtime].loads_plugins:
            return
        self._trt.init_libnvinfer_plugins(self._logger, "")
        for library in self._job.build_config.options.plugins:
            try:
                self._builder.get_plugin_registry().load_library(str(library))
            except Exception as error:
                raise EngineBuildError(f"{library}: expected a plugin library, got {error}") from error

    def _log(self, message: str, *, is_error: bool) -> None:
        (self._errors if is_error else self._warnings).append(message)
        self._messages.send("log", message=message)

    def _fail(self, what: str, expected: str, got: str, inputs: tuple[str, ...] = ()) -> NoReturn:
        said = [str(self._parser.get_error(index)) for index in range(self._parser.num_errors)]
        log = tuple(dict.fromkeys([*said, *self._errors]))
        message = f"{self._job.onnx_path}: {what}: expected {expected}, got {got}"
        remedy = (
            "The lines above are TensorRT's reasons." if log else "TensorRT gives no reason: export the model again."
        )
        if self._changed:
            remedy += ' c10 converted the network; with precision = "fp32" TensorRT gets it unchanged.'
        raise EngineBuildError(message, log=(*log, *inputs), remedy=remedy)


def _logger(trt: Any, log: Callable[..., None]) -> Any:
    class Logger(trt.ILogger):  # type: ignore[misc] # the base is known once TensorRT is imported
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in {self.INTERNAL_ERROR, self.ERROR}:
                log(message, is_error=True)
            elif severity == self.WARNING:
                log(message, is_error=False)

    return Logger()


def _progress_monitor(trt: Any, messages: MessageStream) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc] # as above
        """Source: IProgressMonitor in TensorRT's API reference. Phases may be nested."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:  # noqa: ARG002
            self._steps[phase_name] = num_steps
            messages.progress(BuildProgress(phase_name, 0, num_steps))

        def step_complete(self, phase_name: str, step: int) -> bool:
            messages.progress(BuildProgress(phase_name, step + 1, self._steps.get(phase_name, 0)))
            return True

        def phase_finish(self, phase_name: str) -> None:
            self._steps.pop(phase_name, None)

    return Monitor()
