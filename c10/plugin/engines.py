"""The doit task of each engine of a corpus, and the action that builds it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from doit.exceptions import InvalidTask, TaskError, TaskFailed

from c10.building.targets import corpus_targets
from c10.console import events
from c10.console.output import tolerate_any_text
from c10.corpus.config import DEFAULT_CONFIG, C10ProvisioningConfig
from c10.corpus.target import EngineTarget
from c10.errors import C10Error, RecordError, SourceError
from c10.host import HostCapabilities
from c10.plugin.run_state import current_run
from c10.plugin.uptodate import EngineUpToDate
from c10.proof.definition import source_files
from c10.proof.record import read_record
from c10.runtimes.protocol import CompileEngineCallable


class EngineFailed(TaskFailed):  # type: ignore[misc] # doit is untyped
    """A failed engine: doit prints the message and no traceback; ``error`` is what was raised."""

    def __init__(self, error: C10Error) -> None:
        super().__init__(str(error))
        self.error: BaseException = error


class EngineCrash(TaskError):  # type: ignore[misc]  # noqa: N818 - a result, never raised
    """A runtime raised what no runtime should: doit prints the traceback."""

    def __init__(self, message: str, error: Exception) -> None:
        super().__init__(message, error)
        self.error: BaseException = error


def engine_tasks(
    config: str | Path | C10ProvisioningConfig = DEFAULT_CONFIG,
    *,
    host: HostCapabilities | None = None,
    runtime: CompileEngineCallable | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield a doit subtask for each backbone of a backbones.toml.

    ``host`` stands for a machine other than the probed one, ``runtime`` for a compiler of your own. What is
    wrong with the configuration is doit's InvalidTask: a message, no traceback.
    """
    events.configure_logging()
    tolerate_any_text()
    try:
        targets = corpus_targets(config, host=host, runtime=runtime)
    except C10Error as error:
        events.config_invalid(error)
        raise InvalidTask(str(error)) from error
    for target in targets:
        yield engine_task(target, runtime)


def engine_task(target: EngineTarget, runtime: CompileEngineCallable | None = None) -> dict[str, Any]:
    """Return the doit task of one engine."""
    shapes = "; ".join(map(str, target.build_config.profiles)) or "shapes of the model"
    return {
        "name": target.model_name,
        "doc": f"{target.build_config.precision} {shapes} → {target.engine_path.name}",
        "file_dep": [str(path) for path in file_dependencies(target)],
        "targets": [str(path) for path in target.files()],
        "uptodate": [EngineUpToDate(target)],
        "actions": [(run_build, [target, runtime])],
        "clean": True,
        "io": {"capture": False},
    }


def file_dependencies(target: EngineTarget) -> list[Path]:
    """Return the files that doit watches: those of the record, else those that the ONNX names now."""
    folder, locations = target.onnx_path.parent, None
    with suppress(OSError, RecordError):
        recorded = read_record(target.paths.record).external_data()
        if all((folder / location).exists() for location in recorded):  # else a new export may name others
            locations = recorded
    try:
        return list(source_files(target, locations).values())
    except SourceError:  # the model is not there yet, or is refused when its turn comes
        return list(source_files(target, ()).values())


def run_build(target: EngineTarget, runtime: CompileEngineCallable | None, task: Any) -> Any:
    """Doit's action: build the engine; return what doit's database keeps, or the failure."""
    from c10.building.build import build_engine  # a warm run builds nothing

    try:
        run = current_run()
        result = build_engine(target, task.verdict, run, runtime)
    except C10Error as error:
        events.compile_error(target, error)
        return EngineFailed(error)
    except Exception as error:  # noqa: BLE001 - an injected runtime may raise anything: it goes to the caller whole
        events.compile_error(target, error)
        return EngineCrash(f"{target.model_name}: {type(error).__name__}: {error}", error)
    return replace(result, sources=run.sources.dump(map(Path, task.file_dep))).to_values()
