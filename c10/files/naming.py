"""The engine filename schema: one engine's identity as a file name.

    {model}__sm{sm}_jp{jp}_{runtime}{version}_{precision}.engine

``build`` and ``parse`` are inverse: ``parse(build(**x)) == EngineName(**x)`` and ``build(parse(n)) == n``.
The tags distinguish engines of different hosts. They do not prove that an engine fits a host: the build record does.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Final, Literal, get_args

from c10.errors import InvalidEngineNameError

#: The tag of a runtime in file names and records; ``c10.corpus.runtimes`` has a row for each.
RuntimeKind = Literal["trt", "rtx"]
_KINDS: Final[tuple[str, ...]] = get_args(RuntimeKind)
MODEL_NAME_MAX: Final = 128
PRECISIONS: Final = ("fp32", "fp16", "bf16", "int8", "fp8")
ENGINE_SUFFIX: Final = ".engine"
SIDECAR_SUFFIX: Final = ".sha256"
RECORD_SUFFIX: Final = ".json"
SIGNATURE_SUFFIX: Final = ".dsse.json"
#: Suffixes of the four files of an engine, the engine first. The files are moved and deleted together.
SUFFIXES: Final = ("", SIDECAR_SUFFIX, RECORD_SUFFIX, SIGNATURE_SUFFIX)

_NUMBER = r"(?:0|[1-9][0-9]*)"
_GRAMMAR: Final = {
    "model_name": r"[a-z0-9]+(?:[._-][a-z0-9]+)*",
    "sm": rf"{_NUMBER}(?:\.{_NUMBER})*\+?",
    "jp": rf"none|(?:l4t)?{_NUMBER}(?:\.{_NUMBER})+",
    "runtime": "|".join(_KINDS),
    "trt": rf"{_NUMBER}\.{_NUMBER}",
    "precision": "|".join(PRECISIONS),
}
_EXPECTED: Final = {
    "model_name": f"[a-z0-9]+ joined by single '.', '_' or '-', at most {MODEL_NAME_MAX} characters",
    "sm": "a compute capability such as 87, 80+ or 75.89",
    "jp": "a JetPack version such as 6.2, none, or l4t36.9.9",
    "runtime": " or ".join(_KINDS),
    "trt": "major.minor such as 10.3",
    "precision": ", ".join(PRECISIONS),
}
_NAME: Final = re.compile(
    r"(?P<model_name>{model_name})__sm(?P<sm>{sm})_jp(?P<jp>{jp})"
    r"_(?P<runtime>{runtime})(?P<trt>{trt})_(?P<precision>{precision})\.engine".format(**_GRAMMAR)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineName:
    """The fields of an engine's file name, each in the grammar of the schema."""

    model_name: str
    """At most 128 characters."""
    sm: str
    """Compute capability without the dot: 87; of an engine for several GPUs, its targets: 75.89 or 80+."""
    jp: str
    """JetPack version, "none" for a host that is not a Jetson, or l4t and the L4T release."""
    trt: str
    """Version of the runtime as major.minor."""
    precision: str
    """One of PRECISIONS."""
    runtime: str = "trt"
    """A RuntimeKind: "trt", or "rtx" for TensorRT-RTX."""

    def __str__(self) -> str:
        return EngineFilenameSchema.build(**asdict(self))


def is_model_name(name: str) -> bool:
    """Whether ``name`` follows the grammar of the schema's ``model_name``."""
    return len(name) <= MODEL_NAME_MAX and re.fullmatch(_GRAMMAR["model_name"], name) is not None


class EngineFilenameSchema:
    """Builds and parses engine file names."""

    @staticmethod
    def build(*, model_name: str, sm: str, jp: str, trt: str, precision: str, runtime: str = "trt") -> str:
        """Return the file name; raise InvalidEngineNameError if a field does not follow its grammar.

        >>> EngineFilenameSchema.build(model_name="dinov2_vpr", sm="87", jp="6.2", trt="10.3", precision="fp16")
        'dinov2_vpr__sm87_jp6.2_trt10.3_fp16.engine'
        """
        fields = {
            "model_name": model_name, "sm": sm, "jp": jp, "trt": trt, "precision": precision, "runtime": runtime
        }  # fmt: skip
        for field, value in fields.items():
            if re.fullmatch(_GRAMMAR[field], value) is None or len(value) > MODEL_NAME_MAX:
                raise InvalidEngineNameError(f"engine name: {field}: expected {_EXPECTED[field]}, got {value!r}")
        return f"{model_name}__sm{sm}_jp{jp}_{runtime}{trt}_{precision}{ENGINE_SUFFIX}"

    @staticmethod
    def parse(name: str | PurePath) -> EngineName:
        """Return the fields of a file name, or of a path's last part; raise InvalidEngineNameError."""
        text = name.name if isinstance(name, PurePath) else name
        match = _NAME.fullmatch(text)
        if match is None or any(len(value) > MODEL_NAME_MAX for value in match.groupdict().values()):
            raise InvalidEngineNameError(
                f"engine name: expected {{model}}__sm{{sm}}_jp{{jp}}_{{{'|'.join(_KINDS)}}}{{version}}_{{precision}}"
                f"{ENGINE_SUFFIX}, got {text[:200]!r}"
            )
        return EngineName(**match.groupdict())


@dataclass(frozen=True, slots=True)
class EnginePaths:
    """The paths of an engine's four files; whether the files exist is another question."""

    engine: Path
    """The engine itself."""
    sidecar: Path
    """The ``.sha256`` file with the engine's digest."""
    record: Path
    """The build record, whose publication commits a build."""
    envelope: Path
    """The DSSE envelope: a copy of the record and the signatures over it. An unsigned engine has none."""

    @staticmethod
    @lru_cache(maxsize=4096)  # a run asks several times for each engine
    def of(engine: Path) -> EnginePaths:
        """Return the paths that belong to an engine's path."""
        return EnginePaths(*(Path(f"{engine}{suffix}") for suffix in SUFFIXES))
