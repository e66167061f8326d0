"""Emits c10's log events.

They go to the logger ``c10``. ``record.event`` is the name of the event and the first word of the message; the fields
of the event are attributes of the record. docs/log-events.schema.json is the schema of their JSON form.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from c10.corpus.target import EngineTarget
from c10.errors import C10Error
from c10.proof.verdict import SIDECAR_REASONS, Refusal

LOGGER: Final = logging.getLogger("c10")
FORMAT_VARIABLE: Final = "C10_LOG_FORMAT"
_TEXT_FORMATS: Final = (None, "", "text")


def cache_hit(target: EngineTarget) -> None:
    """Log that an engine is reused."""
    _emit(logging.INFO, "c10.engine.cache.hit", target.model_name, _of(target))


def cache_miss(target: EngineTarget, refusal: Refusal) -> None:
    """Log that an engine must be built, and before it, as an event of its own, that its sidecar does not match."""
    fields = {**_of(target), "reason": refusal.reason}
    if refusal.reason in SIDECAR_REASONS:
        _emit(logging.WARNING, "c10.engine.sidecar.mismatch", f"{target.model_name}: {refusal}", fields)
    _emit(logging.WARNING, "c10.engine.cache.miss", f"{target.model_name}: {refusal}", fields)


def compile_error(target: EngineTarget, error: BaseException) -> None:
    """Log that an engine could not be built."""
    calibration = getattr(error, "calibration_path", None)
    fields = {
        **_of(target),
        "error_class": type(error).__name__,
        "calibration_path": None if calibration is None else str(calibration),
        "remedy": getattr(error, "remedy", ""),
        "log": list(getattr(error, "log", ())),
    }
    message = error.message if isinstance(error, C10Error) else str(error)
    _emit(logging.ERROR, "c10.engine.compile.error", f"{target.model_name}: {message}", fields)


def compile_warnings(target: EngineTarget, warnings: Sequence[str]) -> None:
    """Log the warnings of libraries and TensorRT. At INFO, because the run's own lines show them to a person."""
    for warning in warnings:
        fields = {"model_name": target.model_name, "warning": warning}
        _emit(logging.INFO, "c10.engine.compile.warning", f"{target.model_name}: {warning}", fields)


def compile_summary(*, built: int, reused: int, failed: int, duration_s: float) -> None:
    """Log the counts and the duration of a run that has ended."""
    fields = {
        "engines_built": built,
        "engines_reused": reused,
        "engines_failed": failed,
        "duration_s": round(duration_s, 3),
    }
    words = f"{built} built, {reused} reused, {failed} failed in {duration_s:.2f} s"
    _emit(logging.INFO, "c10.engine.compile.summary", words, fields)


def workspace_large(target: EngineTarget, memory_mb: int) -> None:
    """Log that the requested workspace is more than half of the board's memory; both in MiB."""
    workspace = target.build_config.workspace_mb
    fields = {"model_name": target.model_name, "workspace_mb": workspace, "memory_mb": memory_mb}
    words = (
        f"{target.model_name}: workspace_mb = {workspace} is more than half of this board's memory ({memory_mb} MiB)"
    )
    _emit(logging.WARNING, "c10.config.workspace.large", words, fields)


def config_invalid(error: C10Error) -> None:
    """Log, as JSON only, that the configuration has errors. doit shows them to a person in its next line."""
    if os.environ.get(FORMAT_VARIABLE) == "json":
        fields = {"error_class": type(error).__name__, "remedy": error.remedy}
        _emit(logging.ERROR, "c10.config.invalid", error.message, fields)


def database_unwritable(name: str, problem: str) -> None:
    """Log that doit's database cannot be written; later runs then repeat the checks of this one."""
    words = f"{name}: doit's database is not written ({problem}); engines are not affected"
    _emit(logging.WARNING, "c10.database.unwritable", words, {})


def output_lost(error: Exception) -> None:
    """Log that the lines of a run can no longer be written; the run continues."""
    words = f"{error}: the run continues without output"
    _emit(logging.WARNING, "c10.output.lost", words, {"error_class": type(error).__name__})


def configure_logging() -> None:
    """Send events to standard error: all of them with C10_LOG_FORMAT=json, otherwise WARNING and above as text.

    A second call changes nothing, nor does a call for text if the application's root logger has handlers.
    """
    as_json = (wanted := os.environ.get(FORMAT_VARIABLE)) == "json"
    if any(isinstance(handler, _EventHandler) for handler in LOGGER.handlers):
        return
    if not as_json and logging.getLogger().handlers:
        return
    handler = _EventHandler()
    handler.setLevel(logging.INFO if as_json else logging.WARNING)
    handler.setFormatter(_JsonFormatter() if as_json else logging.Formatter("%(levelname)s %(message)s"))
    LOGGER.addHandler(handler)
    if as_json:
        LOGGER.setLevel(logging.INFO)
    elif wanted not in _TEXT_FORMATS:
        _emit(
            logging.WARNING,
            "c10.log.format",
            f"{FORMAT_VARIABLE}: expected json or text, got {wanted!r}; using text",
            {},
        )


def leave_out_text() -> None:
    """Stop sending events as text to standard error, for a terminal that shows the same. JSON is still sent."""
    for handler in LOGGER.handlers:
        if isinstance(handler, _EventHandler) and not isinstance(handler.formatter, _JsonFormatter):
            handler.setLevel(logging.CRITICAL + 1)


if TYPE_CHECKING:
    _StreamHandler = logging.StreamHandler[Any]
else:
    _StreamHandler = logging.StreamHandler


class _EventHandler(_StreamHandler):
    """Writes to the sys.stderr of the time when it was made, because doit replaces sys.stderr during an action."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Return one JSON object on one line."""
        time = datetime.fromtimestamp(record.created, tz=timezone.utc)
        return json.dumps(
            {
                "time": time.isoformat(timespec="milliseconds"),
                "level": record.levelname,
                "event": getattr(record, "event", None),
                "message": record.getMessage(),
                **getattr(record, "event_fields", {}),
            }
        )


def _of(target: EngineTarget) -> dict[str, Any]:
    return {"model_name": target.model_name, "engine_path": str(target.engine_path)}


def _emit(level: int, event: str, words: str, fields: Mapping[str, Any]) -> None:
    LOGGER.log(level, "%s %s", event, words, extra={"event": event, "event_fields": dict(fields), **fields})
