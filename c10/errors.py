"""The errors that c10 raises on purpose. Any other exception that escapes c10 is a defect.

Form of a message: ``where: what: expected X, got Y``, and a second line that says what to do.
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

    ``message``: what is wrong, in the form above, without the remedy.
    ``remedy``: what to do about it; "" if c10 knows none.
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
    """backbones.toml, or a request made in Python, has invalid content.

    ``problems``: every problem found, one line each; the message joins them.
    """

    def __init__(self, problems: str | list[str], *, remedy: str = "") -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems), remedy=remedy)


class InvalidEngineNameError(C10Error):
    """A file name does not follow the engine filename schema."""


class HostProbeError(C10Error):
    """The facts of the machine cannot be detected, or contradict what was configured."""


class EngineBuildError(C10Error):
    """An engine could not be built.

    ``log``: the messages of the parser and the builder, one line each; () if there are none.
    """

    def __init__(self, message: str, *, remedy: str = "", log: tuple[str, ...] = ()) -> None:
        super().__init__(message, remedy=remedy)
        self.log = log

    def __str__(self) -> str:
        return "\n".join([self.message, *(f"    {line}" for line in self.log), *filter(None, [self.remedy])])


class CalibrationCacheError(EngineBuildError):
    """The INT8 calibration cache is missing, empty or for another TensorRT.

    ``calibration_path``: the file of the cache.
    """

    def __init__(self, message: str, *, calibration_path: Path, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.calibration_path = calibration_path


class ImageError(C10Error):
    """The container image of the engines could not be built."""


class PublishError(C10Error):
    """A file could not be written or locked. The previous file at its path, if any, is unchanged."""


class RecordError(C10Error):
    """A build record cannot be read, is malformed, or has a schema version that this c10 does not know."""


class SourceError(C10Error):
    """A source file (ONNX, external data, calibration cache, plugin) cannot be read or is not allowed."""


class SigningError(C10Error):
    """Signing or signature checking is impossible: a key or `cryptography` is missing or unusable."""


class VerificationError(C10Error):
    """An engine must not be used; each subclass is one kind of fault.

    ``reason``: the kind of fault for programs, as in the log of `doit engines`.
    ``detail``: what a message adds if it already names engine and reason; by default ``message``.
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
    """The build record belongs to another engine than the sidecar or the file beside it."""

    reason = "record_mismatch"


class BuildKeyMismatchError(VerificationError):
    """The engine is intact, but its build key is not the expected one."""

    reason = "inputs_changed"


class HostMismatchError(VerificationError):
    """The engine was built for another host.

    ``differences``: each fact that differs, in words.
    """

    reason = "inputs_changed"

    def __init__(self, message: str, *, remedy: str = "", differences: tuple[str, ...] = ()) -> None:
        super().__init__(message, remedy=remedy)
        self.differences = differences


class MissingSignatureError(VerificationError):
    """The policy requires a signature, and there is none beside the engine."""

    reason = "signature_missing"


class InvalidSignatureError(VerificationError):
    """The signature beside the engine is malformed, does not verify, or belongs to another record."""

    reason = "signature_invalid"


class UntrustedSignatureError(VerificationError):
    """No trusted key made the signature beside the engine."""

    reason = "signature_untrusted"


class RevokedSignatureError(VerificationError):
    """The engine, or the key that signed it, is revoked."""

    reason = "signature_revoked"
