"""Every error c10 raises on purpose.

Form of a message: ``where: what: expected X, got Y`` and a second line that says what to do.
Anything else that escapes c10 is a defect.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

#: Why an engine may not be reused, for programs: in log events, in JSON and on the errors below.
Reason = Literal[
    "missing",
    "engine_unreadable",
    "sidecar_missing",
    "sidecar_malformed",
    "digest_mismatch",
    "record_missing",
    "record_unreadable",
    "record_mismatch",
    "signature_missing",
    "signature_invalid",
    "signature_untrusted",
    "signature_revoked",
    "source_unreadable",
    "inputs_changed",
    "forced",
]


class C10Error(Exception):
    """Base of all errors of c10.

    ``message`` is one sentence in the form above; ``remedy``, where given, says what to do about it.
    """

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n{self.remedy}" if self.remedy else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # doit -n and the compiling child send errors between processes, keyword arguments included.
        return _rebuild, (type(self), dict(self.__dict__))


def _rebuild(kind: type[C10Error], state: dict[str, Any]) -> C10Error:
    error = kind.__new__(kind)
    Exception.__init__(error, state["message"])
    error.__dict__.update(state)
    return error


class ConfigError(C10Error):
    """backbones.toml, or a request made in Python, is not what c10 understands.

    ``problems`` holds every problem found, one line each; the message joins them.
    """

    def __init__(self, problems: str | list[str], *, remedy: str = "") -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems), remedy=remedy)


class InvalidEngineNameError(C10Error):
    """A file name does not follow the engine filename schema."""


class HostProbeError(C10Error):
    """The machine cannot be described, or contradicts what was said of it."""


class EngineBuildError(C10Error):
    """An engine could not be built; carries the parser's and the builder's own messages."""

    def __init__(self, message: str, *, remedy: str = "", log: tuple[str, ...] = ()) -> None:
        super().__init__(message, remedy=remedy)
        self.log = log

    def __str__(self) -> str:
        return "\n".join([self.message, *(f"    {line}" for line in self.log), *filter(None, [self.remedy])])


class CalibrationCacheError(EngineBuildError):
    """The INT8 calibration cache is missing, empty or for another TensorRT."""

    def __init__(self, message: str, *, calibration_path: Path, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.calibration_path = calibration_path


class ImageError(C10Error):
    """The image of the engines could not be made."""


class PublishError(C10Error):
    """A file could not be written in full; whatever was at its path before is still there."""


class RecordError(C10Error):
    """A build record cannot be read, or is of a schema that this c10 does not know."""


class SourceError(C10Error):
    """A source file (ONNX, external data, calibration cache, plugin) cannot be read or is not allowed."""


class SigningError(C10Error):
    """An engine cannot be signed, or its signature not looked at: a key or the library is missing or no good."""


class VerificationError(C10Error):
    """An engine must not be used; the subclasses say why.

    ``reason`` is the same for a program: why `doit engines` would not reuse the engine. ``detail`` is what a line
    that already names the engine and the reason adds to them: the message, or a shorter form of it.
    """

    reason: ClassVar[Reason] = "engine_unreadable"  # each subclass has its own

    def __init__(self, message: str, *, remedy: str = "", detail: str | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.detail = message if detail is None else detail


class UnreadableEngineError(VerificationError):
    """There is no engine, or it cannot be read."""

    reason = "engine_unreadable"


class MissingSidecarError(VerificationError):
    """There is no ``.sha256`` beside the engine."""

    reason = "sidecar_missing"


class InvalidSidecarError(VerificationError):
    """The ``.sha256`` beside the engine is not a sidecar."""

    reason = "sidecar_malformed"


class DigestMismatchError(VerificationError):
    """The engine's bytes are not those that its sidecar or record names."""

    reason = "digest_mismatch"


class MissingRecordError(VerificationError):
    """There is no build record beside the engine."""

    reason = "record_missing"


class InvalidRecordError(VerificationError):
    """The build record beside the engine cannot be read, or is not whole."""

    reason = "record_unreadable"


class RecordMismatchError(VerificationError):
    """The build record is of another engine than its sidecar, or than the one it lies beside."""

    reason = "record_mismatch"


class BuildKeyMismatchError(VerificationError):
    """The engine is genuine, and not the build that was asked for."""

    reason = "inputs_changed"


class HostMismatchError(VerificationError):
    """The engine was built for another host than this one; ``differences`` says each in words."""

    reason = "inputs_changed"

    def __init__(self, message: str, *, remedy: str = "", differences: tuple[str, ...] = ()) -> None:
        super().__init__(message, remedy=remedy)
        self.differences = differences


class MissingSignatureError(VerificationError):
    """A signature is asked for, and there is none beside the engine."""

    reason = "signature_missing"


class InvalidSignatureError(VerificationError):
    """The signature beside the engine is malformed, of another record, or does not verify."""

    reason = "signature_invalid"


class UntrustedSignatureError(VerificationError):
    """The signature beside the engine is of nobody who is trusted."""

    reason = "signature_untrusted"


class RevokedSignatureError(VerificationError):
    """The engine, or the key that signed it, is revoked."""

    reason = "signature_revoked"
