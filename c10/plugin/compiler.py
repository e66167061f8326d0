"""EngineCompiler: the same tasks, driven from Python.

A thin layer: which engine is reused, and how one is built, is decided where the command line decides it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

from doit.cmd_base import ModuleTaskLoader
from doit.doit_cmd import DoitMain

from c10.building.result import EngineResult
from c10.building.run import RunState
from c10.building.targets import engine_targets
from c10.console import events
from c10.corpus.config import C10ProvisioningConfig, refuse_invalid_backbone
from c10.corpus.spec import DEFAULT_PRECISION, DEFAULT_WORKSPACE_MB, BackboneSpec, Precision
from c10.corpus.target import EngineTarget
from c10.errors import C10Error, ConfigError
from c10.host import HostCapabilities
from c10.host.probe import forget_host
from c10.plugin.engines import engine_task
from c10.plugin.reporter import RunReporter
from c10.plugin.run_state import SourceChecker
from c10.plugin.turn import DOIT
from c10.runtimes.protocol import CompileEngineCallable, CompileOutcome, EngineCacheEntry
from c10.runtimes.select import builtin_runtime, choose_runtime
from c10.signing.policy import SigningPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineCompileRequest:
    """A corpus to compile for one host (None: this machine). Raises ConfigError where it makes no corpus.

    ``$C10_SIGNING_KEY`` names the private key, as it does for doit, in place of the one in ``signing``.
    """

    backbones: tuple[BackboneSpec, ...]
    cache_root: Path
    host: HostCapabilities | None = None
    precision: Precision = DEFAULT_PRECISION
    workspace_mb: int = DEFAULT_WORKSPACE_MB
    signing: SigningPolicy = field(default_factory=SigningPolicy)

    def __post_init__(self) -> None:
        object.__setattr__(self, "backbones", tuple(self.backbones))
        object.__setattr__(self, "cache_root", Path(self.cache_root))
        names: set[str] = set()
        for index, backbone in enumerate(self.backbones):
            refuse_invalid_backbone(backbone, f"backbones[{index}]", self.precision)
            if backbone.model_name in names:
                raise ConfigError(
                    f"backbones[{index}].model_name: expected each name once, got {backbone.model_name!r} twice"
                )
            names.add(backbone.model_name)
        if self.workspace_mb <= 0:
            raise ConfigError(f"workspace_mb: expected a positive int, got {self.workspace_mb!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineCompileResult:
    """One backbone's engine, and how it came about; ``compile_duration_s`` is None where it was reused."""

    model_name: str
    entry: EngineCacheEntry
    outcome: CompileOutcome
    compile_duration_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineCompileSummary:
    """A run in numbers."""

    engines_built: int
    engines_reused: int
    compile_duration_s: float

    @classmethod
    def from_results(cls, results: tuple[EngineCompileResult, ...]) -> EngineCompileSummary:
        """Count the results of a run."""
        built = [result for result in results if result.outcome is CompileOutcome.BUILT]
        return cls(
            engines_built=len(built),
            engines_reused=len(results) - len(built),
            compile_duration_s=sum(result.compile_duration_s or 0.0 for result in built),
        )


class EngineCompiler:
    """Compiles a corpus through doit, in this process, with a database in memory.

    ``host`` is this machine as the caller knows it, for requests that name no host (None: probed for each run).
    ``clock`` returns nanoseconds since the epoch; tests give their own.
    """

    def __init__(
        self,
        runtime: CompileEngineCallable,
        *,
        host: HostCapabilities | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._runtime = runtime
        self._host = host
        self._clock = clock

    def compile_engines_for_corpus(self, request: EngineCompileRequest) -> tuple[EngineCompileResult, ...]:
        """Return one result a backbone, in order: every engine that is not proved right is built.

        A run that is under way in another thread of this process is waited for. Raises what the runtime raised for
        the first engine that failed, ConfigError, HostProbeError, and C10Error for a run inside a run.
        """
        forget_host()
        targets = engine_targets(
            request.backbones,
            cache_root=request.cache_root,
            precision=request.precision,
            workspace_mb=request.workspace_mb,
            signing=request.signing,
            host=request.host or self._host,
            runtime=self._runtime,
        )
        reporter = _ResultReporter()
        with DOIT.taken():
            status = _run_doit(targets, self._runtime, reporter, RunState(self._clock))
        if reporter.error is not None:
            raise reporter.error
        if status:
            raise C10Error(f"doit: expected the engines, got exit status {status}: {reporter.text}")
        return tuple(reporter.results[target.model_name] for target in targets)


def build_engine_compiler(config: C10ProvisioningConfig) -> EngineCompiler:
    """Return the compiler that a configuration means on this machine: runtime chosen, host probed, events logged.

    Raises HostProbeError.
    """
    events.configure_logging()
    kind, host = choose_runtime(config.runtime, jetpack=config.jetpack)
    return EngineCompiler(builtin_runtime(kind, host), host=host)


class _ResultReporter(RunReporter):
    """Keeps results and the first error, and prints nothing."""

    def __init__(self) -> None:
        self._text = StringIO()
        super().__init__(self._text, {})
        self.results: dict[str, EngineCompileResult] = {}
        self.error: BaseException | None = None

    @property
    def text(self) -> str:
        """What doit wanted to say."""
        return self._text.getvalue().strip()

    def engine_done(self, target: EngineTarget, result: EngineResult, saved_s: float) -> None:  # noqa: ARG002
        """Keep the result."""
        entry = EngineCacheEntry(
            engine_path=target.engine_path,
            sha256=result.sha256,
            size=result.size,
            build_key=result.build_key,
        )
        self.results[target.model_name] = EngineCompileResult(
            model_name=target.model_name,
            entry=entry,
            outcome=result.outcome,
            compile_duration_s=result.duration_s,
        )

    def engine_failed(self, target: EngineTarget, fail: Any) -> None:
        """Keep the error, with its own type."""
        error = getattr(fail, "error", None)
        self.error = self.error or error or C10Error(f"{target.model_name}: {fail.get_msg().strip()}")


def _run_doit(
    targets: list[EngineTarget], runtime: CompileEngineCallable, reporter: _ResultReporter, run: RunState
) -> int:
    def task_engines() -> Iterator[dict[str, Any]]:
        for target in targets:
            yield engine_task(target, runtime)

    settings = {
        "reporter": reporter,
        "backend": "sqlite3",
        "dep_file": ":memory:",
        "check_file_uptodate": partial(SourceChecker, run),
        "verbosity": 0,
        "default_tasks": ["engines"],
    }
    namespace = {"DOIT_CONFIG": settings, "task_engines": task_engines}
    return int(DoitMain(ModuleTaskLoader(namespace), config_filenames=()).run(["run"]))
