"""The build definition: each field of BuildOptions and of HostCapabilities has its place in it, or a reason not to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, make_dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from harness import HOST, onnx_bytes

from c10 import BackboneSpec, BuildOptions, HostCapabilities
from c10.corpus.spec import BUILD_OPTIONS
from c10.corpus.target import EngineTarget, engine_target
from c10.host.capabilities import HOST_FACTS
from c10.proof.definition import build_definition, differences, source_files
from c10.proof.facts import FACTS
from c10.proof.sources import SourceDigests

OPTION_NAMES = [field.name for field in fields(BuildOptions)]
HOST_NAMES = [field.name for field in fields(HostCapabilities)]
OPTION_OF = {option.name: option for option in BUILD_OPTIONS}
FACT_OF = {fact.name: fact for fact in HOST_FACTS}


def target_with(folder: Path, options: BuildOptions | None = None, runtime: Any = "trt", **host: Any) -> EngineTarget:
    """Return the target of one small backbone; its ONNX is there."""
    onnx_path = folder / "model.onnx"
    if not onnx_path.exists():
        onnx_path.write_bytes(onnx_bytes("model"))
    spec = BackboneSpec(model_name="model", onnx_path=onnx_path, options=options or BuildOptions())
    facts = HostCapabilities(**{**HOST, "rtx_version": "1.7.1.116", **host})
    return engine_target(spec, host=facts, runtime=runtime, cache_root=folder / "engines")


def definition_of(target: EngineTarget) -> dict[str, Any]:
    return build_definition(target, source_files(target), SourceDigests(), converted=False)


def another_value(name: str, folder: Path) -> Any:
    """Return a value of an option's type that is not its neutral one; a file that it names is there."""
    hint, neutral = get_type_hints(BuildOptions)[name], OPTION_OF[name].neutral
    kinds = get_args(hint) or (hint,)
    if Path in kinds:
        path = folder / "file"
        path.write_bytes(b"1")
        return (path,) if isinstance(neutral, tuple) else path
    if kinds == (bool,):
        return not neutral
    if int in kinds:
        return 1 if neutral is None else int(str(neutral)) + 1
    if str in kinds:
        return ("text",)
    return next(value for value in kinds if value != neutral)


def unplaced(names: Iterable[str], rows: Iterable[str]) -> list[str]:
    """Return the fields that no row of a table places, and the rows of no field."""
    return sorted({*names} ^ {*rows})


# Every field has its place


def test_every_build_option_has_its_row() -> None:
    assert unplaced(OPTION_NAMES, OPTION_OF) == [], "fields of BuildOptions without a row in BUILD_OPTIONS"
    assert len(OPTION_OF) == len(BUILD_OPTIONS)


def test_every_host_fact_has_its_row() -> None:
    assert unplaced(HOST_NAMES, FACT_OF) == [], "fields of HostCapabilities without a row in HOST_FACTS"
    assert len(FACT_OF) == len(HOST_FACTS)


@pytest.mark.parametrize(("kind", "rows"), [(BuildOptions, OPTION_OF), (HostCapabilities, FACT_OF)])
def test_a_field_that_was_forgotten_is_named(kind: type, rows: dict[str, Any]) -> None:
    longer = make_dataclass("Longer", [("forgotten", int, 0)], bases=(kind,), frozen=True)
    assert unplaced((field.name for field in fields(longer)), rows) == ["forgotten"]


@pytest.mark.parametrize("name", OPTION_NAMES)
def test_an_option_makes_another_build_or_its_row_says_why_not(tmp_path: Path, name: str) -> None:
    assert name in OPTION_OF, f"BuildOptions.{name}: neither in the build key nor named as not in it"
    row = OPTION_OF[name]
    assert bool(row.role) + bool(row.not_in_key) + row.in_definition == 1, name
    value = another_value(name, tmp_path)
    old, new = definition_of(target_with(tmp_path)), definition_of(target_with(tmp_path, BuildOptions(**{name: value})))
    changed = [difference.key.partition(":")[0] for difference in differences(old, new)]
    if row.not_in_key:
        assert changed == []
    else:
        expected = f"source.{row.role}" if row.role else f"options.{name}"
        assert expected in changed, f"BuildOptions.{name}: a change of it makes the same build"


@pytest.mark.parametrize("name", HOST_NAMES)
def test_a_host_fact_makes_another_build_or_its_row_says_why_not(tmp_path: Path, name: str) -> None:
    assert name in FACT_OF, f"HostCapabilities.{name}: neither in the build key nor named as not in it"
    row = FACT_OF[name]
    assert bool(row.keys) + bool(row.told_by) + bool(row.not_in_key) == 1, name
    value: Any = 123 if name in {"sm_count", "memory_mb"} else "12.3"
    changed: dict[str, list[str]] = {}
    for runtime in ("trt", "rtx"):
        old = definition_of(target_with(tmp_path, runtime=runtime))
        new = replace(target_with(tmp_path, runtime=runtime).host, **{name: value})
        target = replace(target_with(tmp_path, runtime=runtime), host=new)
        changed[runtime] = [difference.key for difference in differences(old, definition_of(target))]
    found = [runtime for runtime, keys in changed.items() if f"host.{name}" in keys]
    assert found == list(row.keys), f"HostCapabilities.{name}: in the build keys of {found}"
    others = {key for keys in changed.values() for key in keys} - {f"host.{name}"}
    assert (row.told_by in others) if row.told_by else not others, f"HostCapabilities.{name}: told by {others}"


def test_every_row_stands_in_the_decision_table() -> None:
    known = {fact.key: fact for fact in FACTS}
    options = {f"options.{row.name}": row for row in BUILD_OPTIONS if row.in_definition}
    files = {f"source.{row.role}": row for row in BUILD_OPTIONS if row.role}
    facts = {f"host.{row.name}": row for row in HOST_FACTS if row.keys}
    for key, row in {**options, **files, **facts}.items():
        assert known[key].words == row.words
        assert known[key].effect == "rebuild"
    assert {row.told_by for row in HOST_FACTS if row.told_by} <= known.keys()
