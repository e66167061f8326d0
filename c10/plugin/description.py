"""What `doit info` says of an engine beyond what doit knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from c10.conversion.report import NetworkReport
from c10.corpus.target import EngineTarget
from c10.proof.definition import recorded_options
from c10.proof.facts import describe, profile_words
from c10.proof.record import BuildRecord
from c10.proof.verdict import Proof, Verdict

_INDENT: Final = "    "


class TaskDescription(Mapping[str, Any]):
    """A task's ``meta``: values for a program, lines for a person, worked out when somebody looks.

    doit prints it with pprint, which leaves a class with its own ``__repr__`` as it is.
    """

    def __init__(self, target: EngineTarget, verdict: Verdict) -> None:
        self._target = target
        self._verdict = verdict

    def __getitem__(self, key: str) -> Any:
        return self._values()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values())

    def __len__(self) -> int:
        return len(self._values())

    def _values(self) -> dict[str, Any]:
        return describe_engine(self._target, self._verdict)

    def __repr__(self) -> str:
        values = self._values()
        width = max(map(len, values), default=0)
        lines = []
        for key, value in values.items():
            first, *rest = value if isinstance(value, list) else [value]
            lines.append(f"{_INDENT}{key:<{width}}  {first}")
            lines += [f"{_INDENT}{'':<{width}}  {line}" for line in rest]
        return "\n" + "\n".join(lines)


def describe_engine(target: EngineTarget, verdict: Verdict) -> dict[str, Any]:
    """Return what is known of an engine: what lies there and what it was built from; else what is wanted."""
    description = {"status": _status(verdict), "engine": target.engine_path.name}
    if verdict.record is not None:
        return description | _built(verdict.record)
    config = target.build_config
    return description | {
        "runtime": f"{target.runtime} {target.runtime_version}",
        "precision": config.precision,
        "profiles": [str(profile) for profile in config.profiles] or "those of the model",
        "workspace": f"{config.workspace_mb} MiB",
    }


def _status(verdict: Verdict) -> str | list[str]:
    if isinstance(verdict, Proof):
        return str(verdict)
    return [f"to be built: {describe(d)}" for d in verdict.differences] or f"to be built: {verdict}"


def _built(record: BuildRecord) -> dict[str, Any]:
    asked = record.definition["externalParameters"]
    machine = record.definition["internalParameters"]
    return {
        "sha256": record.sha256,
        "size": f"{record.size / 1e6:.1f} MB ({record.size} bytes)",
        "built": f"{record.finished_on} in {record.compile_duration_s:.1f} s by c10 {record.c10_version}",
        "build key": record.build_key,
        "runtime": ", ".join(_known(machine["runtime"])),
        "host": ", ".join(_known(machine["host"])),
        "precision": asked["precision"],
        "profiles": [profile_words(profile) for profile in asked["profiles"]] or "those of the model",
        "workspace": f"{asked['workspace_mb']} MiB",
        "options": ", ".join(_known(recorded_options(record.definition))),
        **_network(record.network, asked["precision"]),
        "inputs": [f"{d['name']} sha256 {d['digest']['sha256']}" for d in record.definition["resolvedDependencies"]],
    }


def _network(report: NetworkReport | None, precision: str) -> dict[str, Any]:
    """Return what became of the network: who chose its types, what stays fp32, what was warned of."""
    if report is None:
        return {}
    words = f" ({report.words(precision)})" if report.converted else ""
    rows = {
        "types from": f"{report.types_from}{words}",
        "kept in fp32": [f"{group.nodes} × {group.operator}: {group.reason}" for group in report.kept],
        "onnx.checker": report.onnx_problem,
        "renamed dimensions": ", ".join(report.renamed_dimensions),
        "warnings": list(report.warnings),
    }
    return {name: value for name, value in rows.items() if value}


def _known(facts: dict[str, Any]) -> Iterator[str]:
    return (f"{name} {value}" for name, value in facts.items() if value not in (None, [], ()))
