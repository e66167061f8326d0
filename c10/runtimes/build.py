"""ONNX → serialized engine: one code path over TensorRT 10.x, 11.x and TensorRT-RTX. Runs in the child.

May import errors, publish through sidecar, spec and its siblings; the only module that imports a compiler.
The differences between the three stand in ``options`` (what is allowed) and in ``_flags`` (how it is said).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from c10.errors import EngineBuildError
from c10.runtimes.network import check_precision, check_profiles, describe_inputs
from c10.runtimes.options import TRT10, Generation, generation, is_strongly_typed, refuse_unsupported
from c10.runtimes.precision import convert, needs_conversion
from c10.runtimes.protocol import BuildProgress
from c10.sidecar import Sha256Sidecar
from c10.spec import BuildConfig, OptimizationProfile

if TYPE_CHECKING:
    from c10.runtimes.messages import CompileJob
    from c10.runtimes.worker import MessageStream

_MIB = 1 << 20


def build_engine(job: CompileJob, messages: MessageStream) -> tuple[str, int]:
    """Compile and publish; return the engine's SHA-256 and its size in bytes.

    Raises EngineBuildError, CalibrationCacheError, PublishError.
    """
    trt = _import_compiler(job)
    column = generation(job.runtime, job.version)
    config = job.build_config
    refuse_unsupported(job.onnx_path.name, config, column)
    build = _Build(trt, column, job, messages)
    network = build.parse()
    check_profiles(job.onnx_path, network, config.profiles)
    check_precision(trt, job.onnx_path, network, config, strong=is_strongly_typed(config, column))
    memory = build.serialize(network)
    messages.progress(BuildProgress("Publishing"))
    data = memoryview(memory)
    return Sha256Sidecar.write_atomic_and_sidecar(job.output_path, data), data.nbytes


def _import_compiler(job: CompileJob) -> Any:
    name = "tensorrt_rtx" if job.runtime == "rtx" else "tensorrt"
    try:
        trt = importlib.import_module(name)
    except ImportError as error:
        raise EngineBuildError(f"{name}: expected the Python package, got {error}") from error
    if not f"{trt.__version__}.".startswith(f"{job.version}.") and not f"{job.version}.".startswith(
        f"{trt.__version__}."
    ):
        raise EngineBuildError(
            f"{name}: expected version {job.version}, as probed, got {trt.__version__}",
            remedy="Two installations are mixed: remove one.",
        )
    return trt


class _Build:
    """One builder, its logger, and what they were told."""

    def __init__(self, trt: Any, column: Generation, job: CompileJob, messages: MessageStream) -> None:
        self._trt = trt
        self._column = column
        self._job = job
        self._messages = messages
        self._errors: list[str] = []
        self._logger = _logger(trt, self._log)
        self._builder = trt.Builder(self._logger)
        self._strong = is_strongly_typed(job.build_config, column)

    def parse(self) -> Any:
        """Return the network that the ONNX describes, in the precision that was asked for."""
        self._messages.progress(BuildProgress("Parsing"))
        path = self._job.onnx_path
        network = self._builder.create_network(self._network_flags())
        parser = self._trt.OnnxParser(network, self._logger)
        # The parser must outlive the network: it owns the weights that the network refers to.
        self._parser = parser
        if self._strong and needs_conversion(path, self._job.build_config.precision):
            self._messages.progress(BuildProgress(f"Converting to {self._job.build_config.precision}"))
            ok = parser.parse(convert(path, self._job.build_config.precision), str(path))
        else:
            ok = parser.parse_from_file(str(path))
        if not ok or network.num_outputs == 0:
            self._fail("parse", "a network", "none" if not ok else "one without outputs (is the file truncated?)")
        return network

    def serialize(self, network: Any) -> Any:
        """Return the engine's bytes, as TensorRT's own memory."""
        config = self._configure(network)
        memory = self._builder.build_serialized_network(network, config)
        if memory is None:
            self._fail("build", "an engine", "none", inputs=describe_inputs(network))
        return memory

    def _configure(self, network: Any) -> Any:
        trt, wanted = self._trt, self._job.build_config
        config = self._builder.create_builder_config()
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, wanted.workspace_mb * _MIB)
        config.builder_optimization_level = wanted.options.builder_optimization_level
        config.progress_monitor = _progress_monitor(trt, self._messages)
        for flag, on in _flags(wanted, strong=self._strong).items():
            if on:
                config.set_flag(getattr(trt.BuilderFlag, flag))
            elif hasattr(trt.BuilderFlag, flag):
                config.clear_flag(getattr(trt.BuilderFlag, flag))
        self._set_targets(config, wanted)
        for profile in wanted.profiles:
            config.add_optimization_profile(self._profile(network, profile))
        return config

    def _set_targets(self, config: Any, wanted: BuildConfig) -> None:
        trt, options = self._trt, wanted.options
        if options.hardware_compatibility != "none":
            level = options.hardware_compatibility.upper()
            config.hardware_compatibility_level = getattr(trt.HardwareCompatibilityLevel, level)
        if options.compute_capabilities:
            config.num_compute_capabilities = len(options.compute_capabilities)
        for index, sm in enumerate(options.compute_capabilities):
            config.set_compute_capability(getattr(trt.ComputeCapability, f"SM{sm}"), index)
        if options.dla_core is not None:
            config.default_device_type = trt.DeviceType.DLA
            config.DLA_core = options.dla_core

    def _profile(self, network: Any, wanted: OptimizationProfile) -> Any:
        profile = self._builder.create_optimization_profile()
        shape_tensors = {
            network.get_input(i).name for i in range(network.num_inputs) if network.get_input(i).is_shape_tensor
        }
        for name, shapes in wanted.inputs:
            set_range = profile.set_shape_input if name in shape_tensors else profile.set_shape
            set_range(name, shapes.min, shapes.opt, shapes.max)
        return profile

    def _network_flags(self) -> int:
        flags = self._trt.NetworkDefinitionCreationFlag
        bits = 0
        if self._strong and hasattr(flags, "STRONGLY_TYPED"):
            bits |= 1 << int(flags.STRONGLY_TYPED)
        if self._column == TRT10 and hasattr(flags, "EXPLICIT_BATCH"):
            bits |= 1 << int(flags.EXPLICIT_BATCH)
        return bits

    def _log(self, message: str, *, is_error: bool) -> None:
        if is_error:
            self._errors.append(message)
        self._messages.send("log", message=message)

    def _fail(self, what: str, expected: str, got: str, inputs: tuple[str, ...] = ()) -> None:
        said = [str(self._parser.get_error(i)) for i in range(self._parser.num_errors)]
        log = dict.fromkeys([*said, *self._errors])
        raise EngineBuildError(f"{self._job.onnx_path}: {what}: expected {expected}, got {got}", log=(*log, *inputs))


def _flags(config: BuildConfig, *, strong: bool) -> dict[str, bool]:
    """Say the configuration in BuilderFlag's names; the precision ones exist up to TensorRT 10 alone."""
    options = config.options
    flags = {
        "TF32": options.tf32,
        "SPARSE_WEIGHTS": options.sparse_weights,
        "VERSION_COMPATIBLE": options.version_compatible,
        "GPU_FALLBACK": options.gpu_fallback,
    }
    if not strong and config.precision != "fp32":
        flags[config.precision.upper()] = True
    return flags


def _logger(trt: Any, log: Any) -> Any:
    class Logger(trt.ILogger):  # type: ignore[misc] # the base is known once it is imported
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in {self.INTERNAL_ERROR, self.ERROR}:
                log(message, is_error=True)
            elif severity == self.WARNING:
                log(message, is_error=False)

    return Logger()


def _progress_monitor(trt: Any, messages: MessageStream) -> Any:
    """Source: IProgressMonitor in TensorRT's API reference; a phase may be inside another."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
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
