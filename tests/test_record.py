"""The build record, the build key and the decision table: what goes in comes out, and garbage is a RecordError."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from fake_runtime import FakeRuntime
from harness import HOST, Corpus, onnx_bytes, run
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from c10 import BackboneSpec, BuildOptions, HostCapabilities
from c10.building.build import build_engine
from c10.building.run import RunState
from c10.corpus.spec import OptimizationProfile, ShapeRange
from c10.corpus.target import EngineTarget, engine_target
from c10.errors import RecordError
from c10.files.pieces import PieceDigests
from c10.plugin.description import TaskDescription
from c10.plugin.engines import file_dependencies
from c10.proof.definition import ENVIRONMENT, build_definition, build_key, differences, source_files
from c10.proof.facts import FACTS, Difference, describe, fact_of
from c10.proof.record import PREDICATE_TYPE, SCHEMA_VERSION, STATEMENT_TYPE, BuildRecord, parse_record, read_record
from c10.proof.sources import SourceDigests
from c10.proof.verdict import Proof, Refusal, judge

DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)
NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMES = TEXT.filter(lambda name: "\0" not in name)
LEAVES = st.none() | st.booleans() | NUMBERS | TEXT
TREES = st.recursive(LEAVES, lambda i: st.lists(i, max_size=3) | st.dictionaries(TEXT, i, max_size=3), max_leaves=6)
TIMES = st.datetimes(timezones=st.timezones()).map(lambda t: t.isoformat(timespec="milliseconds"))
IN_A_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def target_in(folder: Path, **host: Any) -> EngineTarget:
    """Return the target of one small backbone in a folder; its ONNX is there."""
    onnx_path = folder / "model.onnx"
    if not onnx_path.exists():
        onnx_path.write_bytes(onnx_bytes("model"))
    spec = BackboneSpec(model_name="model", onnx_path=onnx_path, expected_input_shape=(1, 3, 8, 8))
    return engine_target(spec, host=HostCapabilities(**{**HOST, **host}), runtime="trt", cache_root=folder / "engines")


def definition_of(target: EngineTarget, *, converted: bool = False) -> dict[str, Any]:
    digests = {role: SourceDigests().sha256(path) for role, path in source_files(target).items()}
    return build_definition(target, digests, converted=converted)


@pytest.fixture
def built(tmp_path: Path) -> EngineTarget:
    """A target whose engine, sidecar and record are there and agree."""
    target = target_in(tmp_path)
    build_engine(target, judge(target, SourceDigests()), RunState(), FakeRuntime(tmp_path / "calls.txt"))
    assert isinstance(judge(target, SourceDigests()), Proof)
    return target


def records() -> st.SearchStrategy[BuildRecord]:
    facts = st.dictionaries(TEXT, TREES, max_size=4)
    sizes = st.lists(NUMBERS, max_size=3)
    shapes = st.fixed_dictionaries({"min": sizes, "opt": sizes, "max": sizes})
    files = st.fixed_dictionaries({"name": NAMES, "digest": st.fixed_dictionaries({"sha256": DIGESTS})})
    asked = {
        "model_name": NAMES,
        "precision": NAMES,
        "workspace_mb": NUMBERS,
        "profiles": st.lists(st.dictionaries(NAMES, shapes, max_size=2), max_size=2),
        "options": facts,
    }
    definitions = st.fixed_dictionaries(
        {
            "buildType": NAMES,
            "externalParameters": st.fixed_dictionaries(asked),
            "internalParameters": st.fixed_dictionaries({"runtime": facts, "host": facts, "environment": facts}),
            "resolvedDependencies": st.lists(files, min_size=1, max_size=3),
        }
    )
    return definitions.flatmap(
        lambda definition: st.builds(
            BuildRecord,
            engine_name=TEXT,
            sha256=DIGESTS,
            size=st.integers(0, 2**50),
            definition=st.just(definition),
            build_key=st.just(build_key(definition)),
            compile_duration_s=st.floats(0, 1e7, allow_nan=False),
            started_on=TIMES,
            finished_on=TIMES,
            c10_version=TEXT,
            python_version=TEXT,
            power_mode=st.none() | TEXT,
        )
    ).flatmap(lambda record: st.just(record) | pieces_of(record).map(lambda pieces: replace(record, pieces=pieces)))


def pieces_of(record: BuildRecord) -> st.SearchStrategy[PieceDigests]:
    """Return digests of pieces that fit a record: of a size that keeps the list short."""
    size = max(record.size // 3, 1)
    count = -(-record.size // size)
    digests = st.just([record.sha256]) if count == 1 else st.lists(DIGESTS, min_size=count, max_size=count)
    return digests.map(lambda found: PieceDigests(size, tuple(found)))


@given(records())
def test_parse_undoes_to_json(record: BuildRecord) -> None:
    assert parse_record(record.to_json(), Path("x.engine.json")) == record


@given(TREES.filter(lambda tree: isinstance(tree, dict)))
@example({"é": 1, "z": 2, "\U0001f600": 3, "\ufb33": 4})  # UTF-16 order is not code point order
@example({"a": '\u2028\x7f\x00"\\/\n', "": -0})
def test_build_key_is_the_digest_of_rfc_8785_json(tree: dict[str, Any]) -> None:
    assert build_key(tree) == hashlib.sha256(rfc8785.dumps(tree)).hexdigest()


@given(st.binary(max_size=300) | TREES.map(lambda tree: json.dumps(tree).encode()))
@example(b"[" * 100_000)
@example(b'{"_type": 1}')
@example(b"null")
def test_garbage_is_a_record_error(garbage: bytes) -> None:
    with pytest.raises(RecordError, match=r"^x\.engine\.json: expected a build record, got "):
        parse_record(garbage, Path("x.engine.json"))


def test_every_cut_of_a_record_is_a_record_error(built: EngineTarget) -> None:
    content = built.paths.record.read_bytes()
    for size in range(len(content) - 2):
        with pytest.raises(RecordError):
            parse_record(content[:size], built.paths.record)


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value in a JSON tree."""
    if path:
        yield path
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in inner:
        yield from places(value, (*path, key))


def changed(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return a copy in which one value is another, or (Ellipsis) is gone."""
    tree = copy.deepcopy(tree)
    holder = tree
    for key in path[:-1]:
        holder = holder[key]
    if value is ...:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return tree


ODD = [
    ...,
    None,
    True,
    0,
    -1,
    1.5,
    float("inf"),
    float("nan"),
    10**400,
    "",
    "x",
    "\ud800",
    "external_data:\0",
    "external_data:../../outside",
    [],
    [1],
    [[]],
    {},
    {"a": []},
]


def test_one_odd_value_anywhere_is_a_reason_and_never_a_crash(built: EngineTarget, tmp_path: Path) -> None:
    """Each value of the record in turn is something else; the build key is put right where one can be made."""
    options = BuildOptions(tf32=False, keep_fp32=("Softmax",), version_compatible=True, dla_core=0)
    built = replace(built, build_config=replace(built.build_config, options=options))
    build_engine(built, judge(built, SourceDigests()), RunState(), FakeRuntime(tmp_path / "calls.txt"))
    statement = json.loads(built.paths.record.read_text("utf-8"))
    crashes, tried = [], 0
    for path in places(statement):
        for value in ODD:
            odd = changed(statement, path, value)
            with suppress(KeyError, TypeError, ValueError, IndexError):
                odd["predicate"]["c10_build_key"] = build_key(odd["predicate"]["buildDefinition"])
            built.paths.record.write_text(json.dumps(odd), "utf-8")
            tried += 1
            try:
                verdict = judge(built, SourceDigests())
                f"{verdict} {TaskDescription(built, verdict)!r}".encode()  # a terminal can show it
                file_dependencies(built)
            except Exception as error:  # noqa: BLE001 - what must not happen, all of it in one answer
                crashes.append((path, value, repr(error)))
                continue
            proved = path[:2] == ("predicate", "buildDefinition") or path[-1] == "c10_size"
            if proved and odd != statement:
                assert isinstance(verdict, Refusal), (path, value)
    assert not crashes, "\n".join(map(str, crashes))
    assert tried > 1000


def test_the_record_is_an_in_toto_statement_with_slsa_provenance(built: EngineTarget) -> None:
    statement = json.loads(built.paths.record.read_text("utf-8"))
    assert statement["_type"] == STATEMENT_TYPE == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == PREDICATE_TYPE == "https://slsa.dev/provenance/v1"
    sha256 = hashlib.sha256(built.engine_path.read_bytes()).hexdigest()
    assert statement["subject"] == [{"name": built.engine_path.name, "digest": {"sha256": sha256}}]
    predicate = statement["predicate"]
    assert predicate["c10_schema_version"] == SCHEMA_VERSION
    definition = predicate["buildDefinition"]
    assert predicate["c10_build_key"] == hashlib.sha256(rfc8785.dumps(definition)).hexdigest()
    onnx = hashlib.sha256(built.onnx_path.read_bytes()).hexdigest()
    assert definition["resolvedDependencies"] == [{"name": "onnx", "digest": {"sha256": onnx}}]
    assert predicate["runDetails"]["c10_size"] == built.engine_path.stat().st_size
    assert str(built.onnx_path.parent) not in built.paths.record.read_text("utf-8")  # may be copied anywhere


@pytest.mark.parametrize("pieces", ["absent", None], ids=["no field", "null"])
def test_a_record_without_digests_of_pieces_is_still_reused(built: EngineTarget, pieces: str | None) -> None:
    statement = json.loads(built.paths.record.read_text("utf-8"))
    details = statement["predicate"]["runDetails"]
    assert details.pop("c10_pieces")["sha256"] == [statement["subject"][0]["digest"]["sha256"]]
    if pieces is None:
        details["c10_pieces"] = None
    built.paths.record.write_text(json.dumps(statement), "utf-8")
    assert read_record(built.paths.record).pieces is None
    assert isinstance(judge(built, SourceDigests()), Proof)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"size": 0}, "is not the size of a piece"),
        ({"size": -1}, "is not the size of a piece"),
        ({"size": True}, "is not the size of a piece"),
        ({"size": "16777216"}, "is not the size of a piece"),
        ({"size": 1.5}, "is not the size of a piece"),
        ({"sha256": []}, "expected 1 pieces of 16777216 bytes, got 0"),
        ({"sha256": ["0" * 64] * 2}, "expected 1 pieces of 16777216 bytes, got 2"),
        ({"size": 1}, "pieces of 1 bytes, got 1"),
        ({"sha256": "0" * 64}, "expected 1 pieces of 16777216 bytes, got 64"),
        ({"sha256": ["0" * 63]}, "the digest of a piece is not a SHA-256"),
        ({"sha256": ["G" * 64]}, "the digest of a piece is not a SHA-256"),
        ({"sha256": [None]}, "expected string"),
        ({"sha256": None}, "not iterable"),
        ({"sha256": ["0" * 64]}, "the digest of the only piece is not that of the file"),
    ],
)
def test_digests_of_pieces_that_cannot_be_are_a_record_error(
    built: EngineTarget, change: dict[str, Any], problem: str
) -> None:
    statement = json.loads(built.paths.record.read_text("utf-8"))
    statement["predicate"]["runDetails"]["c10_pieces"] |= change
    with pytest.raises(RecordError, match=problem):
        parse_record(json.dumps(statement).encode(), built.paths.record)
    built.paths.record.write_text(json.dumps(statement), "utf-8")
    assert isinstance(judge(built, SourceDigests()), Refusal)


@pytest.mark.parametrize("field", ["_type", "predicateType"])
def test_another_kind_of_statement_is_a_record_error(built: EngineTarget, field: str) -> None:
    statement = {**json.loads(built.paths.record.read_text("utf-8")), field: "https://example.org/other"}
    with pytest.raises(RecordError, match="is not known to c10"):
        parse_record(json.dumps(statement).encode(), built.paths.record)


def test_a_definition_changed_by_hand_does_not_match_its_build_key(built: EngineTarget) -> None:
    statement = json.loads(built.paths.record.read_text("utf-8"))
    statement["predicate"]["buildDefinition"]["externalParameters"]["workspace_mb"] = 1
    with pytest.raises(RecordError, match="the build key is not that of the build definition"):
        parse_record(json.dumps(statement).encode(), built.paths.record)


def test_a_record_of_megabytes_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b" " * (5 << 20))
    with pytest.raises(RecordError):
        read_record(tmp_path / "x.json")


def test_no_record_is_file_not_found_and_a_directory_is_a_record_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_record(tmp_path / "none")
    with pytest.raises(RecordError, match=r"Is a directory|regular file"):
        read_record(tmp_path)


# The build key, and the decision table


HOST_FACTS = {
    "sm": ("72", "compute capability 87 → 72 (another GPU?)"),
    "sm_count": (8, "SM count none → 8 (power mode changed?)"),
    "device_name": ("Orin", "GPU none → Orin (another GPU?)"),
    "cuda_driver": ("12.6", "CUDA driver none → 12.6"),
    "jp": ("6.1", "JetPack 6.2 → 6.1"),
    "l4t": ("36.4.3", "L4T none → 36.4.3"),
    "os": ("Linux", "operating system none → Linux"),
    "machine": ("aarch64", "machine none → aarch64"),
    "trt_version": ("10.3.0.26", "TensorRT 10.3 → 10.3.0.26"),
    "onnx_parser": ("100300", "ONNX parser none → 100300"),
}
NOTES = {"memory_mb": 7620, "power_mode": "15W", "rtx_version": "1.7.1"}


@pytest.mark.parametrize("fact", HOST_FACTS)
def test_each_fact_of_the_host_makes_another_build(tmp_path: Path, fact: str) -> None:
    value, words = HOST_FACTS[fact]
    old, new = definition_of(target_in(tmp_path)), definition_of(target_in(tmp_path, **{fact: value}))
    assert build_key(old) != build_key(new)
    assert [str(difference) for difference in differences(old, new)] == [words]


@pytest.mark.parametrize("note", NOTES)
def test_a_note_of_the_host_makes_the_same_build(tmp_path: Path, note: str) -> None:
    old, new = definition_of(target_in(tmp_path)), definition_of(target_in(tmp_path, **{note: NOTES[note]}))
    assert build_key(old) == build_key(new)
    assert differences(old, new) == ()


OPTIONS = {
    "conversion": ("always", "conversion auto → always"),
    "keep_fp32": (("Softmax", "/head/*"), "kept in fp32 none → Softmax; /head/*"),
    "builder_optimization_level": (5, "builder optimization level 3 → 5"),
    "hardware_compatibility": ("same_compute_capability", "hardware compatibility none → same_compute_capability"),
    "version_compatible": (True, "version compatibility off → on"),
    "dla_core": (0, "DLA core none → 0"),
    "gpu_fallback": (True, "GPU fallback off → on"),
    "sparse_weights": (True, "sparse weights off → on"),
    "tf32": (False, "TF32 on → off"),
    "compute_capabilities": (("75", "89"), "compute capabilities none → 75; 89"),
}


@pytest.mark.parametrize("option", OPTIONS)
def test_each_build_option_makes_another_build(tmp_path: Path, option: str) -> None:
    target = target_in(tmp_path)
    value, words = OPTIONS[option]
    config = replace(target.build_config, options=replace(BuildOptions(), **{option: value}))
    old, new = definition_of(target), definition_of(replace(target, build_config=config))
    assert build_key(old) != build_key(new)
    assert words in [str(difference) for difference in differences(old, new)]


def test_the_order_of_what_is_kept_is_the_users(tmp_path: Path) -> None:
    target = target_in(tmp_path)
    config = replace(target.build_config, options=BuildOptions(keep_fp32=("b", "a")))
    definition = definition_of(replace(target, build_config=config))
    assert definition["externalParameters"]["options"]["keep_fp32"] == ["b", "a"]


LARGE = [2**53, 2**63 - 1, -(2**53), -(2**63)]


@pytest.mark.parametrize("value", [0, -1, 2**53 - 1, -(2**53) + 1, *LARGE])
@pytest.mark.parametrize("name", ["starts", "größe"])
def test_any_value_of_a_shape_input_is_in_the_key_and_the_record(tmp_path: Path, name: str, value: int) -> None:
    """A name outside ASCII takes the library's way to RFC 8785, which refuses what a double cannot hold."""
    target = target_in(tmp_path)
    profile = OptimizationProfile.of({name: ShapeRange((min(value, 0),), (value,), (max(value, 1),))})
    target = replace(target, build_config=replace(target.build_config, profiles=(profile,)))
    definition = definition_of(target)
    assert build_key(definition) == hashlib.sha256(rfc8785.dumps(definition)).hexdigest()
    build_engine(target, judge(target, SourceDigests()), RunState(), FakeRuntime(tmp_path / "calls.txt"))
    assert isinstance(judge(target, SourceDigests()), Proof)
    (shapes,) = read_record(target.paths.record).definition["externalParameters"]["profiles"]
    assert shapes[name]["opt"] == [str(value) if value in LARGE else value]
    other = OptimizationProfile.of({name: ShapeRange.fixed((1,))})
    verdict = judge(replace(target, build_config=replace(target.build_config, profiles=(other,))), SourceDigests())
    assert str(verdict).startswith(f"optimization profiles {name} [{min(value, 0)}]…[{max(value, 1)}] → ")


@pytest.mark.parametrize("option", ["timing_cache", "timeout_s"])
def test_what_does_not_change_the_engine_is_not_in_the_key(tmp_path: Path, option: str) -> None:
    target = target_in(tmp_path)
    value: Any = False if option == "timing_cache" else 60
    config = replace(target.build_config, options=replace(BuildOptions(), **{option: value}))
    assert definition_of(target) == definition_of(replace(target, build_config=config))


@pytest.mark.parametrize("variable", ENVIRONMENT)
def test_environment_that_changes_the_builder_is_in_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.delenv(variable, raising=False)
    old = definition_of(target_in(tmp_path))
    monkeypatch.setenv(variable, "0")
    assert [str(d) for d in differences(old, definition_of(target_in(tmp_path)))] == [f"{variable} none → 0"]


def test_calibration_cache_and_plugins_are_in_the_key_by_content(tmp_path: Path) -> None:
    target = target_in(tmp_path)
    cache, plugin = tmp_path / "c.cache", tmp_path / "p.so"
    cache.write_bytes(b"1")
    plugin.write_bytes(b"1")
    options = BuildOptions(calibration_cache=cache, plugins=(plugin,))
    used = replace(target, build_config=replace(target.build_config, options=options))
    old = definition_of(used)
    assert [str(d) for d in differences(definition_of(target), old)] == [
        "calibration cache added",
        "plugin library p.so#1 added",
    ]
    cache.write_bytes(b"2")
    plugin.write_bytes(b"3")
    words = [str(difference) for difference in differences(old, definition_of(used))]
    assert [line.partition(":")[0] for line in words] == ["calibration cache changed", "plugin library p.so#1 changed"]


def test_an_rtx_engine_belongs_to_its_targets_and_not_to_the_machine(tmp_path: Path) -> None:
    target = replace(target_in(tmp_path, rtx_version="1.7.1.116"), runtime="rtx")
    other = replace(
        target_in(tmp_path, rtx_version="1.7.1.116", sm="89", sm_count=128, cuda_driver="13.0"), runtime="rtx"
    )
    assert build_key(definition_of(target)) == build_key(definition_of(other))
    upgraded = replace(target_in(tmp_path, rtx_version="1.7.2.1"), runtime="rtx")
    assert "TensorRT 1.7.1.116 → 1.7.2.1" in [
        str(d) for d in differences(definition_of(target), definition_of(upgraded))
    ]


def test_every_input_of_a_definition_stands_in_the_decision_table(tmp_path: Path) -> None:
    known = {fact.key for fact in FACTS}
    asked: dict[str, Any] = {"options": {}}
    empty: dict[str, Any] = {"resolvedDependencies": [], "externalParameters": asked, "internalParameters": {}}
    target = target_in(tmp_path, sm_count=1)
    config = replace(target.build_config, options=replace(BuildOptions(), **{n: v for n, (v, _) in OPTIONS.items()}))
    found = {difference.key for difference in differences(empty, definition_of(replace(target, build_config=config)))}
    assert {"source.onnx", "workspace_mb", "host.sm_count", *(f"options.{name}" for name in OPTIONS)} <= found
    assert found <= known
    assert all(fact_of(key).effect == "rebuild" for key in found)


def test_a_difference_in_words() -> None:
    assert describe(Difference("host.sm_count", 16, 8)) == "SM count 16 → 8 (power mode changed?)"
    assert describe(Difference("source.external_data:w.bin", "a" * 64, None)) == "external data w.bin removed"
    assert describe(Difference("source.onnx", "a" * 64, "b" * 64)) == f"ONNX changed: sha256 {'a' * 12}… → {'b' * 12}…"
    assert describe(Difference("unknown.fact", 1, 2)) == "unknown.fact 1 → 2"


def test_definitions_that_python_calls_equal_are_not_the_same_build(tmp_path: Path) -> None:
    old = changed(definition_of(target_in(tmp_path)), ("externalParameters", "options", "tf32"), value=True)
    new = changed(old, ("externalParameters", "options", "tf32"), 1)
    assert old == new  # True is 1
    assert build_key(old) != build_key(new)
    assert [difference.key for difference in differences(old, new)] == ["options.tf32"]
    assert differences(old, changed(old, ("buildType",), "urn:another"))
    assert differences(old, copy.deepcopy(old)) == ()


def test_a_newer_c10_alone_rebuilds_nothing(corpus: Corpus) -> None:
    run("EngineCompiler", corpus)
    for path in corpus.engines.glob("*.json"):
        path.write_text(path.read_text("utf-8").replace('"c10": "', '"c10": "99.'), "utf-8")
    assert set(run("EngineCompiler", corpus).outcomes.values()) == {"REUSED"}
