"""The build definition: each field of BuildOptions and of HostCapabilities has its place in it, or a reason not to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, make_dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from fake_runtime import FakeRuntime
from harness import HOST, onnx_bytes

from c10 import BackboneSpec, BuildOptions, HostCapabilities, load_engine
from c10.building.build import build_engine
from c10.building.run import RunState
from c10.commands import documents
from c10.corpus.runtimes import RUNTIME_OF, RUNTIMES, RuntimeRow
from c10.corpus.spec import BUILD_OPTIONS, OptimizationProfile, ShapeRange
from c10.corpus.target import EngineTarget, engine_target
from c10.host.capabilities import HOST_FACTS
from c10.plugin.description import TaskDescription
from c10.proof.compatibility import contradictions
from c10.proof.definition import build_definition, build_key, differences, recorded_options, source_files
from c10.proof.facts import FACTS, Difference
from c10.proof.form import (
    BuildDefinition,
    Dependency,
    DependencyDigest,
    ExternalParameters,
    InternalParameters,
    Shapes,
)
from c10.proof.record import BuildRecord, read_record
from c10.proof.sources import SourceDigests
from c10.proof.verdict import Proof, judge

OPTION_NAMES = [field.name for field in fields(BuildOptions)]
HOST_NAMES = [field.name for field in fields(HostCapabilities)]
OPTION_OF = {option.name: option for option in BUILD_OPTIONS}
#: The neutral values of build type urn:c10:engine:v1. A row may be added, with the option that it belongs to. None may
#: be changed, also where a default changes: a recorded definition that lacks the option would then mean another build.
NEUTRAL_OF_V1 = {
    "conversion": "auto",
    "keep_fp32": [],
    "builder_optimization_level": 3,
    "hardware_compatibility": "none",
    "version_compatible": False,
    "dla_core": None,
    "gpu_fallback": False,
    "sparse_weights": False,
    "tf32": True,
    "compute_capabilities": [],
}
#: The host facts in a build key of v1, by whether the builder measures on the device. A fact that is added, moved or
#: removed rebuilds those engines: name it in the changelog.
HOST_FACTS_OF_V1 = {
    True: ["sm", "sm_count", "device_name", "cuda_driver", "jp", "l4t", "os", "machine"],
    False: ["os", "machine"],
}
FACT_OF = {fact.name: fact for fact in HOST_FACTS}


def target_with(folder: Path, options: BuildOptions | None = None, runtime: Any = "trt", **host: Any) -> EngineTarget:
    """Return the target of one small backbone; its ONNX is there."""
    onnx_path = folder / "model.onnx"
    if not onnx_path.exists():
        onnx_path.write_bytes(onnx_bytes("model"))
    spec = BackboneSpec(model_name="model", onnx_path=onnx_path, options=options or BuildOptions())
    versions = {row.version_fact: "1.7.1.116" for row in RUNTIMES if not row.on_device}
    facts = HostCapabilities(**{**HOST, **versions, **host})
    return engine_target(spec, host=facts, runtime=runtime, cache_root=folder / "engines")


def definition_of(target: EngineTarget) -> dict[str, Any]:
    digests = {role: SourceDigests().sha256(path) for role, path in source_files(target).items()}
    return build_definition(target, digests, converted=False)


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
    for runtime in RUNTIME_OF:
        old = definition_of(target_with(tmp_path, runtime=runtime))
        new = replace(target_with(tmp_path, runtime=runtime).host, **{name: value})
        target = replace(target_with(tmp_path, runtime=runtime), host=new)
        changed[runtime] = [difference.key for difference in differences(old, definition_of(target))]
    found = [runtime for runtime, keys in changed.items() if f"host.{name}" in keys]
    expected = [kind for kind, runtime in RUNTIME_OF.items() if row.keys == "every" or (row.keys and runtime.on_device)]
    assert found == expected, f"HostCapabilities.{name}: in the build keys of {found}"
    others = {key for keys in changed.values() for key in keys} - {f"host.{name}"}
    assert (row.told_by in others) if row.told_by else not others, f"HostCapabilities.{name}: told by {others}"


@pytest.mark.parametrize("runtime", RUNTIMES, ids=lambda row: row.kind)
def test_the_host_facts_of_a_build_key_are_frozen(tmp_path: Path, runtime: RuntimeRow) -> None:
    facts = definition_of(target_with(tmp_path, runtime=runtime.kind))["internalParameters"]["host"]
    assert sorted(facts) == sorted(HOST_FACTS_OF_V1[runtime.on_device])


def test_every_row_stands_in_the_decision_table() -> None:
    known = {fact.key: fact for fact in FACTS}
    options = {f"options.{row.name}": row for row in BUILD_OPTIONS if row.in_definition}
    files = {f"source.{row.role}": row for row in BUILD_OPTIONS if row.role}
    facts = {f"host.{row.name}": row for row in HOST_FACTS if row.keys}
    for key, row in {**options, **files, **facts}.items():
        assert known[key].words == row.words
        assert known[key].effect == "rebuild"
    assert {row.told_by for row in HOST_FACTS if row.told_by} <= known.keys()


# Neutral options


def built(folder: Path, options: BuildOptions | None = None) -> EngineTarget:
    """Return a target whose engine, sidecar and record are there and agree."""
    target = target_with(folder, options)
    build_engine(target, judge(target, SourceDigests()), RunState(), FakeRuntime(folder / "calls.txt"))
    assert isinstance(judge(target, SourceDigests()), Proof)
    return target


def with_options(target: EngineTarget, options: dict[str, Any]) -> BuildRecord:
    """Put other options into a target's record, as another c10 would have written it; return the record."""
    record = read_record(target.paths.record)
    asked = {**record.definition["externalParameters"], "options": options}
    definition = {**record.definition, "externalParameters": asked}
    record = replace(record, definition=definition, build_key=build_key(definition))
    target.paths.record.write_bytes(record.to_json())
    return record


def test_the_neutral_values_are_frozen() -> None:
    rows = {row.name: row.neutral for row in BUILD_OPTIONS if row.in_definition}
    found = {name: list(value) if isinstance(value, tuple) else value for name, value in rows.items()}
    assert found == NEUTRAL_OF_V1
    assert [type(value) for value in found.values()] == [type(value) for value in NEUTRAL_OF_V1.values()]
    assert not any(value for value in found.values() if isinstance(value, list)), "compared by == of the whole list"


def test_a_build_with_neutral_options_writes_none_of_them(tmp_path: Path) -> None:
    """So an option that a release adds, at its neutral value, changes no build key."""
    assert definition_of(target_with(tmp_path))["externalParameters"]["options"] == {}
    definition = definition_of(target_with(tmp_path, BuildOptions(tf32=False, keep_fp32=("Softmax",))))
    assert definition["externalParameters"]["options"] == {"tf32": False, "keep_fp32": ["Softmax"]}


@pytest.mark.parametrize("names", [[], ["tf32"], sorted(NEUTRAL_OF_V1)], ids=["none", "one", "all"])
def test_a_record_that_writes_neutral_options_out_or_lacks_them_is_reused(tmp_path: Path, names: list[str]) -> None:
    target = built(tmp_path)
    with_options(target, {name: NEUTRAL_OF_V1[name] for name in names})
    assert str(judge(target, SourceDigests())) == "intact, and built from exactly these inputs"


def test_a_release_that_adds_an_option_rebuilds_nothing(tmp_path: Path) -> None:
    """The record of a c10 that knew neither of two options; the build asks for one of them."""
    target = built(tmp_path, BuildOptions(sparse_weights=True))
    older = {name: value for name, value in NEUTRAL_OF_V1.items() if name not in {"sparse_weights", "dla_core"}}
    with_options(target, older)
    verdict = judge(target, SourceDigests())
    assert verdict.differences == (Difference("options.sparse_weights", old=False, new=True),)
    assert str(verdict) == "sparse weights off → on"
    assert isinstance(judge(target_with(tmp_path), SourceDigests()), Proof)


@pytest.mark.parametrize("name", sorted(NEUTRAL_OF_V1))
def test_a_default_that_changes_is_written_out(tmp_path: Path, name: str) -> None:
    """The neutral value is the table's and not the dataclass's: engines of the older default are built again."""
    new = another_value(name, tmp_path)
    kinds = get_type_hints(BuildOptions)
    changed = make_dataclass("Changed", [(name, kinds[name], new)], bases=(BuildOptions,), frozen=True, kw_only=True)
    written = [new if not isinstance(new, tuple) else list(new)]
    assert [*definition_of(target_with(tmp_path, changed()))["externalParameters"]["options"].values()] == written
    neutral = changed(**{name: OPTION_OF[name].neutral})
    assert definition_of(target_with(tmp_path, neutral)) == definition_of(target_with(tmp_path))


def test_an_option_of_another_type_is_not_neutral(tmp_path: Path) -> None:
    target = built(tmp_path)
    with_options(target, {"tf32": 1})
    assert [difference.key for difference in judge(target, SourceDigests()).differences] == ["options.tf32"]
    odd: Any = 1
    assert definition_of(target_with(tmp_path, BuildOptions(tf32=odd)))["externalParameters"]["options"] == {"tf32": 1}


def test_an_option_that_this_c10_does_not_know_is_another_build(tmp_path: Path) -> None:
    target = built(tmp_path)
    with_options(target, {"weight_streaming": True})
    assert str(judge(target, SourceDigests())) == "options.weight_streaming on → none"


@pytest.mark.parametrize("section", ["runtime", "host", "environment"])
def test_only_options_have_a_neutral_value(tmp_path: Path, section: str) -> None:
    """What a record does not say of its machine is not known: an older c10 did not look."""
    new = definition_of(target_with(tmp_path))
    for name, value in new["internalParameters"][section].items():
        facts = {key: fact for key, fact in new["internalParameters"][section].items() if key != name}
        old = {**new, "internalParameters": {**new["internalParameters"], section: facts}}
        (difference,) = differences(old, new)
        assert difference.key == (f"{section}.{name}" if value is not None else "build definition")


def test_a_file_named_twice_is_another_build(tmp_path: Path) -> None:
    new = definition_of(target_with(tmp_path))
    assert differences({**new, "resolvedDependencies": new["resolvedDependencies"] * 2}, new)


def test_the_definition_has_the_keys_of_its_typed_form(tmp_path: Path) -> None:
    profiles = (OptimizationProfile.of({"image": ShapeRange.fixed((1, 3, 8, 8))}),)
    target = target_with(tmp_path)
    config = replace(target.build_config, profiles=profiles)
    definition: Any = definition_of(replace(target, build_config=config))
    (profile,) = definition["externalParameters"]["profiles"]
    (dependency,) = definition["resolvedDependencies"]
    parts = {
        BuildDefinition: definition,
        ExternalParameters: definition["externalParameters"],
        InternalParameters: definition["internalParameters"],
        Shapes: next(iter(profile.values())),
        Dependency: dependency,
        DependencyDigest: dependency["digest"],
    }
    assert {form: form.__required_keys__ for form in parts} == {form: part.keys() for form, part in parts.items()}


# Who reads a recorded definition


@pytest.mark.parametrize("options", [{}, NEUTRAL_OF_V1], ids=["left out", "written out"])
def test_readers_of_a_record_take_an_absent_option_as_neutral(tmp_path: Path, options: dict[str, Any]) -> None:
    target = built(tmp_path)
    record = with_options(target, options)
    assert recorded_options(record.definition) == NEUTRAL_OF_V1
    assert contradictions(record, target.host) == []
    newer = HostCapabilities(**{**HOST, "trt": "10.9"})
    assert [difference.key for difference in contradictions(record, newer)] == ["runtime.version"]
    assert bytes(load_engine(target.engine_path, host=target.host)) == target.engine_path.read_bytes()
    described = TaskDescription(target, judge(target, SourceDigests()))["options"]
    assert described.startswith("conversion auto, builder_optimization_level 3, hardware_compatibility none, ")
    assert documents.recorded(record)["build_key"] == record.build_key


def test_readers_of_a_record_see_the_options_that_are_written(tmp_path: Path) -> None:
    target = built(tmp_path, BuildOptions(version_compatible=True, hardware_compatibility="same_compute_capability"))
    record = read_record(target.paths.record)
    assert contradictions(record, HostCapabilities(**{**HOST, "trt": "10.9", "sm_count": 8})) == []
    described = TaskDescription(target, judge(target, SourceDigests()))["options"]
    assert "version_compatible True" in described
