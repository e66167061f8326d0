"""Every error c10 raises on purpose. May import nothing of c10.

Form of a message: ``where: what: expected X, got Y`` and a second line that says what to do.
Anything else that escapes c10 is a defect.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


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
    """An engine must not be used; the subclasses say why."""


class UnreadableEngineError(VerificationError):
    """There is no engine, or it cannot be read."""


class MissingSidecarError(VerificationError):
    """There is no ``.sha256`` beside the engine."""


class InvalidSidecarError(VerificationError):
    """The ``.sha256`` beside the engine is not a sidecar."""


class DigestMismatchError(VerificationError):
    """The engine's bytes are not those that its sidecar or record names."""


class MissingRecordError(VerificationError):
    """There is no build record beside the engine."""


class InvalidRecordError(VerificationError):
    """The build record beside the engine cannot be read, or is not whole."""


class RecordMismatchError(VerificationError):
    """The build record is of another engine than its sidecar, or than the one it lies beside."""


class BuildKeyMismatchError(VerificationError):
    """The engine is genuine, and not the build that was asked for."""


class HostMismatchError(VerificationError):
    """The engine was built for another host than this one; ``differences`` says each in words."""

    def __init__(self, message: str, *, remedy: str = "", differences: tuple[str, ...] = ()) -> None:
        super().__init__(message, remedy=remedy)
        self.differences = differences


class MissingSignatureError(VerificationError):
    """A signature is asked for, and there is none beside the engine."""


class InvalidSignatureError(VerificationError):
    """The signature beside the engine is malformed, of another record, or does not verify."""


class UntrustedSignatureError(VerificationError):
    """The signature beside the engine is of nobody who is trusted."""


class RevokedSignatureError(VerificationError):
    """The engine, or the key that signed it, is revoked."""
