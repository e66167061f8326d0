"""The build record beside an engine: an in-toto Statement v1 with SLSA provenance v1.

https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md. c10's own fields have the prefix ``c10_``,
as SLSA asks of extensions. A record is used whole or not at all: one that cannot be read, or has another schema
version, is a reason to rebuild and never a crash.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import lru_cache
from math import isfinite
from pathlib import Path
from typing import Any, Final

from c10.conversion.report import NetworkReport
from c10.errors import RecordError
from c10.files.digest import HEX_DIGEST, read_regular
from c10.files.pieces import PieceDigests
from c10.proof.definition import build_key, refuse_malformed
from c10.proof.form import BuildDefinition
from c10.version import __version__

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "https://slsa.dev/provenance/v1"
SCHEMA_VERSION: Final = 1
_BUILDER_ID: Final = "urn:c10:builder:v1"
_RECORD_MAX: Final = 4 << 20  # bytes; a typical record has 3 kB
_SIZE_MAX: Final = (1 << 63) - 1  # bytes, as Linux counts them
_REBUILD: Final = "`doit engines` will rebuild the engine and write a new record."


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRecord:
    """One engine's provenance."""

    engine_name: str
    """The engine's file name."""
    sha256: str
    """Of the engine's bytes, in hex."""
    size: int
    """Of the engine, in bytes."""
    definition: BuildDefinition
    """The build definition, as ``build_definition`` returns it."""
    build_key: str
    """SHA-256 of the definition, in hex: see ``definition.build_key``."""
    compile_duration_s: float
    """Duration of the compile, in seconds."""
    started_on: str
    """Start of the build, in ISO 8601."""
    finished_on: str
    """End of the build, in ISO 8601."""
    c10_version: str = __version__
    """Version of the c10 that built the engine."""
    python_version: str = sys.version.split(maxsplit=1)[0]
    """Version of the Python that ran c10."""
    power_mode: str | None = None
    """HostCapabilities.power_mode during the build; None if unknown."""
    network: NetworkReport | None = None
    """How the network was converted for the builder; None in records older than this field."""
    pieces: PieceDigests | None = None
    """Digests of the engine's pieces; None in records older than this field."""

    def to_json(self) -> bytes:
        """Return the statement as indented JSON."""
        statement = {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": self.engine_name, "digest": {"sha256": self.sha256}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "buildDefinition": self.definition,
                "runDetails": {
                    "builder": {
                        "id": _BUILDER_ID,
                        "version": {"c10": self.c10_version, "python": self.python_version},
                    },
                    "metadata": {"startedOn": self.started_on, "finishedOn": self.finished_on},
                    "c10_size": self.size,
                    "c10_compile_duration_s": self.compile_duration_s,
                    "c10_power_mode": self.power_mode,
                    "c10_network": None if self.network is None else asdict(self.network),
                    "c10_pieces": None if self.pieces is None else asdict(self.pieces),
                },
                "c10_schema_version": SCHEMA_VERSION,
                "c10_build_key": self.build_key,
            },
        }
        return json.dumps(statement, indent=2, ensure_ascii=False).encode() + b"\n"

    def external_data(self) -> list[str]:
        """Return the locations of the external-data files that the engine was built from."""
        prefix = "external_data:"
        names = (str(dependency["name"]) for dependency in self.definition["resolvedDependencies"])
        return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]


def read_record(path: Path) -> BuildRecord:
    """Read a build record. Raises FileNotFoundError, and RecordError if it is not a complete record."""
    return parse_record(read_record_bytes(path), path)


def read_record_bytes(path: Path) -> bytes:
    """Return the bytes of a build record, unchecked. Raises FileNotFoundError and RecordError."""
    try:
        return read_regular(path, _RECORD_MAX)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise RecordError(f"{path}: expected a readable build record, got {error}", remedy=_REBUILD) from error


def parse_record(content: bytes, path: Path) -> BuildRecord:
    """Return the record that a statement holds. Raises RecordError."""
    try:
        return _parsed(content)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"[:200]
        raise RecordError(f"{path}: expected a build record, got {reason}", remedy=_REBUILD) from error


@lru_cache(maxsize=4096)  # making the task and, later, judging its engine parse the same record
def _parsed(content: bytes) -> BuildRecord:
    if len(content) > _RECORD_MAX:
        raise ValueError(f"expected at most {_RECORD_MAX} bytes")
    return _from_statement(json.loads(content))


def _from_statement(statement: dict[str, Any]) -> BuildRecord:
    predicate = statement["predicate"]
    kinds = (statement["_type"], statement["predicateType"], predicate["c10_schema_version"])
    if kinds != (STATEMENT_TYPE, PREDICATE_TYPE, SCHEMA_VERSION):
        raise ValueError(f"schema {kinds!r} is not known to c10 {__version__}")
    (subject,) = statement["subject"]
    definition, details = predicate["buildDefinition"], predicate["runDetails"]
    record = BuildRecord(
        engine_name=str(subject["name"]),
        sha256=subject["digest"]["sha256"],
        size=details["c10_size"],
        definition=definition,
        build_key=predicate["c10_build_key"],
        compile_duration_s=float(details["c10_compile_duration_s"]),
        started_on=_time(details["metadata"]["startedOn"]),
        finished_on=_time(details["metadata"]["finishedOn"]),
        c10_version=str(details["builder"]["version"]["c10"]),
        python_version=str(details["builder"]["version"]["python"]),
        power_mode=details["c10_power_mode"],
        network=NetworkReport.from_json(network) if (network := details.get("c10_network")) is not None else None,
        pieces=PieceDigests.from_json(pieces) if (pieces := details.get("c10_pieces")) is not None else None,
    )
    if record.build_key != build_key(definition):
        raise ValueError("the build key is not that of the build definition")
    refuse_malformed(definition)
    _refuse_nonsense(record)
    return record


def _refuse_nonsense(record: BuildRecord) -> None:
    if not (isfinite(record.compile_duration_s) and record.compile_duration_s >= 0):
        raise ValueError(f"{record.compile_duration_s} is not a duration")
    if type(record.size) is not int or not 0 <= record.size <= _SIZE_MAX:
        raise ValueError("the size is not a file's")
    if HEX_DIGEST.fullmatch(record.sha256) is None:
        raise ValueError("the subject's digest is not a SHA-256")
    if record.pieces is not None:
        record.pieces.refuse_mismatch(record.size, record.sha256)
    for text in (record.engine_name, record.c10_version, record.python_version, record.power_mode or ""):
        text.encode()  # raises for a lone surrogate, which cannot be printed


def _time(text: str) -> str:
    datetime.fromisoformat(text)
    return text
