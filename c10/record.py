"""The build record beside an engine: an in-toto Statement v1 with SLSA provenance v1. May import errors,
digest and definition.

https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md. Fields of c10's own carry its prefix, as
SLSA asks of extensions. A record is believed only as a whole: what cannot be read, or is of another schema
version, is a reason to rebuild and never a crash.
"""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from c10.definition import build_key
from c10.digest import HEX_DIGEST, open_regular
from c10.errors import RecordError
from c10.version import __version__

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "https://slsa.dev/provenance/v1"
SCHEMA_VERSION: Final = 1
_BUILDER_ID: Final = "urn:c10:builder:v1"
_RECORD_MAX: Final = 4 << 20  # bytes; real ones have 3 kB
_REBUILD: Final = "`doit engines` will rebuild the engine and write a new record."


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRecord:
    """One engine's provenance. ``size`` is in bytes, ``compile_duration_s`` in seconds."""

    engine_name: str
    sha256: str
    size: int
    definition: dict[str, Any]
    build_key: str
    compile_duration_s: float
    started_on: str
    finished_on: str
    c10_version: str = __version__
    python_version: str = platform.python_version()
    power_mode: str | None = None

    def to_json(self) -> bytes:
        """Return the statement, indented for the person who opens the file."""
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
    """Read a build record. Raises FileNotFoundError, and RecordError for whatever is no whole record."""
    try:
        with open(open_regular(path), "rb") as file:  # noqa: PTH123 - a descriptor, not a path
            content = file.read(_RECORD_MAX + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise RecordError(f"{path}: expected a readable build record, got {error}", remedy=_REBUILD) from error
    return parse_record(content, path)


def parse_record(content: bytes, path: Path) -> BuildRecord:
    """Return the record that a statement holds. Raises RecordError."""
    try:
        if len(content) > _RECORD_MAX:
            raise ValueError(f"expected at most {_RECORD_MAX} bytes")  # noqa: TRY301 - one way out for all
        record = _from_statement(json.loads(content))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"[:200]
        raise RecordError(f"{path}: expected a build record, got {reason}", remedy=_REBUILD) from error
    return record


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
        size=int(details["c10_size"]),
        definition=definition,
        build_key=predicate["c10_build_key"],
        compile_duration_s=float(details["c10_compile_duration_s"]),
        started_on=datetime.fromisoformat(details["metadata"]["startedOn"]).isoformat(),
        finished_on=datetime.fromisoformat(details["metadata"]["finishedOn"]).isoformat(),
        c10_version=str(details["builder"]["version"]["c10"]),
        python_version=str(details["builder"]["version"]["python"]),
        power_mode=details["c10_power_mode"],
    )
    if HEX_DIGEST.fullmatch(record.sha256) is None:
        raise ValueError("the subject's digest is not a SHA-256")
    if record.build_key != build_key(definition):
        raise ValueError("the build key is not that of the build definition")
    _ = [dependency["digest"]["sha256"] for dependency in definition["resolvedDependencies"]]
    return record
