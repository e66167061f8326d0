"""How long a build may take: the nearest one recorded, the latest of equals."""

from __future__ import annotations

from pathlib import Path

import pytest

from c10 import BackboneSpec, HostCapabilities
from c10.cache.estimate import estimate_s
from c10.corpus.target import EngineTarget, engine_target
from c10.files.naming import EnginePaths
from c10.proof.definition import build_definition, build_key
from c10.proof.record import BuildRecord
from c10.proof.sources import SourceDigests

ORIN = {"sm": "87", "jp": "6.2", "trt": "10.3"}


def target(folder: Path, model: str = "aliked", **host: str) -> EngineTarget:
    onnx_path = folder / "model.onnx"
    onnx_path.write_bytes(b"\x08\x08")
    spec = BackboneSpec(model_name=model, onnx_path=onnx_path, expected_input_shape=(1, 3, 8, 8))
    return engine_target(spec, host=HostCapabilities(**{**ORIN, **host}), runtime="trt", cache_root=folder)


def built(target: EngineTarget, duration_s: float, day: int = 1) -> None:
    """Record a build of a target."""
    definition = build_definition(target, {"onnx": SourceDigests().sha256(target.onnx_path)}, converted=False)
    record = BuildRecord(
        engine_name=target.engine_path.name,
        sha256="0" * 64,
        size=1,
        definition=definition,
        build_key=build_key(definition),
        compile_duration_s=duration_s,
        started_on=f"2026-01-{day:02}T00:00:00.000+00:00",
        finished_on=f"2026-01-{day:02}T01:00:00.000+00:00",
    )
    EnginePaths.of(target.engine_path).record.write_bytes(record.to_json())


def test_nothing_is_known_of_what_was_never_built(tmp_path: Path) -> None:
    built(target(tmp_path, "lightglue"), 60)
    assert estimate_s(target(tmp_path)) is None


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ([{}, {"jp": "6.2.1"}], 1),  # this very name, though the other is later
        ([{"sm": "80"}, {"jp": "6.1"}], 2),  # the same kind of host
        ([{"sm": "80"}], 1),  # any, where there is no other
        ([{"sm": "80"}, {"sm": "89"}], 2),  # of equals the latest
    ],
)
def test_the_nearest_build_gives_the_estimate(tmp_path: Path, hosts: list[dict[str, str]], expected: float) -> None:
    for number, host in enumerate(hosts, start=1):
        built(target(tmp_path, **host), number, day=number)
    assert estimate_s(target(tmp_path)) == expected


def test_a_record_that_is_none_says_nothing(tmp_path: Path) -> None:
    EnginePaths.of(target(tmp_path).engine_path).record.write_text("{}")
    assert estimate_s(target(tmp_path)) is None
    built(target(tmp_path, sm="80"), 7)
    assert estimate_s(target(tmp_path)) == 7
