"""backbones.toml: what is refused, and with which words; what is accepted, and what it means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from harness import Corpus
from hypothesis import example, given, settings
from hypothesis import strategies as st

from c10 import (
    BackboneConfig,
    BackboneSpec,
    BuildOptions,
    C10ProvisioningConfig,
    ConfigError,
    EngineCompileRequest,
    HostCapabilities,
    OptimizationProfile,
    ShapeRange,
    build_backbone_specs,
)
from c10.building.targets import corpus_targets
from c10.files.naming import PRECISIONS

BACKBONE: dict[str, Any] = {
    "model_name": "resnet50",
    "onnx_path": "models/resnet50.onnx",
    "expected_input_shape": [1, 3, 224, 224],
}
MODEL_NAME = "expected [a-z0-9]+ joined by single '.', '_' or '-', at most 128 characters"
HOST = HostCapabilities(sm="87", jp="6.2", trt="10.3")


def load(text: str, tmp_path: Path) -> C10ProvisioningConfig:
    (tmp_path / "backbones.toml").write_text(text, "utf-8")
    return C10ProvisioningConfig.load(tmp_path / "backbones.toml")


def problems_of(text: str, tmp_path: Path) -> list[str]:
    """Return what is wrong with a file, without the file's name, which is on every line."""
    with pytest.raises(ConfigError) as raised:
        load(text, tmp_path)
    where = f"{tmp_path / 'backbones.toml'}: "
    assert all(line.startswith(where) for line in raised.value.problems)
    assert str(raised.value) == "\n".join(raised.value.problems)
    return [line.removeprefix(where) for line in raised.value.problems]


def backbone(**changes: str) -> str:
    """Return a file with one backbone; values are TOML, None leaves a key out."""
    keys = {
        "model_name": '"resnet50"',
        "onnx_path": '"models/resnet50.onnx"',
        "expected_input_shape": "[1, 3, 224, 224]",
        **changes,
    }
    return "[[backbones]]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items() if value)


REFUSED_BACKBONES = {
    # empty strings
    "empty model_name": ({"model_name": '""'}, "model_name: expected a non-empty string, got ''"),
    "blank model_name": ({"model_name": '"  "'}, "model_name: expected a non-empty string, got '  '"),
    "empty onnx_path": ({"onnx_path": '""'}, "onnx_path: expected a non-empty string, got ''"),
    "empty input_name": ({"input_name": '""'}, "input_name: expected a non-empty string, got ''"),
    "empty calibration_cache": ({"calibration_cache": '""'}, "calibration_cache: expected a non-empty string, got ''"),
    # what is not there
    "no model_name": ({"model_name": ""}, "model_name: expected a non-empty string, got nothing"),
    "no onnx_path": ({"onnx_path": ""}, "onnx_path: expected a path, got nothing"),
    # dimensions
    "negative dimension": (
        {"expected_input_shape": "[1, -3]"},
        "expected_input_shape: expected positive ints, got [1, -3]",
    ),
    "zero dimension": ({"expected_input_shape": "[0, 3]"}, "expected_input_shape: expected positive ints, got [0, 3]"),
    "no dimension": ({"expected_input_shape": "[]"}, "expected_input_shape: expected positive ints, got []"),
    "float dimension": ({"expected_input_shape": "[1.5]"}, "expected_input_shape: expected positive ints, got [1.5]"),
    "flag as dimension": (
        {"expected_input_shape": "[true]"},
        "expected_input_shape: expected positive ints, got [True]",
    ),
    "dimension beyond 32 bits": (
        {"expected_input_shape": "[2147483648]"},
        "expected_input_shape: expected positive ints, got [2147483648]",
    ),
    "shape is a string": (
        {"expected_input_shape": '"1x3x224x224"'},
        "expected_input_shape: expected positive ints, got '1x3x224x224'",
    ),
    # conversion
    "conversion": ({"conversion": '"sometimes"'}, "conversion: expected one of auto, always, never, got 'sometimes'"),
    "conversion is a flag": ({"conversion": "true"}, "conversion: expected one of auto, always, never, got True"),
    "the key before conversion": (
        {"strongly_typed": "true"},
        'strongly_typed: expected conversion = "always" (strongly typed, c10 converts the network) or conversion = '
        '"never" (strongly typed, the network\'s own types) in its place, or neither for strongly_typed = false, '
        "got unknown key 'strongly_typed'",
    ),
    "keep_fp32 is a string": (
        {"keep_fp32": '"Softmax"'},
        "keep_fp32: expected an array of non-empty strings, got 'Softmax'",
    ),
    "keep_fp32 has an empty string": (
        {"keep_fp32": '["Softmax", " "]'},
        "keep_fp32: expected an array of non-empty strings, got ['Softmax', ' ']",
    ),
    "keep_fp32 has one twice": (
        {"keep_fp32": '["Softmax", "/a/*", "Softmax"]'},
        "keep_fp32: expected different operator types or name patterns, got ['Softmax', '/a/*', 'Softmax']",
    ),
    "keep_fp32 where nothing may be converted": (
        {"keep_fp32": '["Softmax"]', "conversion": '"never"'},
        'keep_fp32: expected no keep_fp32 with conversion = "never", which converts nothing (remove one of them), '
        "got ['Softmax']",
    ),
    **{
        f"keep_fp32 at {precision}": (
            {"keep_fp32": '["Softmax"]', "precision": f'"{precision}"'},
            f"keep_fp32: expected no keep_fp32 with precision {precision}, to which nothing is converted (remove it, "
            "or use fp16 or bf16), got ['Softmax']",
        )
        for precision in ("fp32", "int8", "fp8")
    },
    # unknown keys
    "unknown key": ({"onnx_pth": '"a"'}, "onnx_pth: expected one of "),
    # wrong types
    "model_name is a number": ({"model_name": "5"}, "model_name: expected a non-empty string, got 5"),
    "onnx_path is an array": ({"onnx_path": '["a"]'}, "onnx_path: expected a non-empty string, got ['a']"),
    "workspace_mb is a string": ({"workspace_mb": '"4096"'}, "workspace_mb: expected a positive int, got '4096'"),
    "workspace_mb is a flag": ({"workspace_mb": "true"}, "workspace_mb: expected a positive int, got True"),
    "workspace_mb is zero": ({"workspace_mb": "0"}, "workspace_mb: expected a positive int, got 0"),
    "workspace_mb is negative": ({"workspace_mb": "-1"}, "workspace_mb: expected a positive int, got -1"),
    "precision is unknown": (
        {"precision": '"fp64"'},
        "precision: expected one of fp32, fp16, bf16, int8, fp8, got 'fp64'",
    ),
    "precision in capitals": (
        {"precision": '"FP16"'},
        "precision: expected one of fp32, fp16, bf16, int8, fp8, got 'FP16'",
    ),
    "tf32 is a number": ({"tf32": "1"}, "tf32: expected true or false, got 1"),
    "builder_optimization_level": (
        {"builder_optimization_level": "6"},
        "builder_optimization_level: expected an int from 0 to 5, got 6",
    ),
    "dla_core": ({"dla_core": "-1"}, "dla_core: expected an int from 0 to 15, got -1"),
    "plugins is a string": ({"plugins": '"a.so"'}, "plugins: expected an array of non-empty strings, got 'a.so'"),
    "compute_capabilities twice": (
        {"compute_capabilities": '["75", "75"]'},
        "compute_capabilities: expected different ones such as [\"75\", \"89\"], got ['75', '75']",
    ),
    "timeout_s": ({"timeout_s": "0"}, "timeout_s: expected a positive int, got 0"),
    "a path with a NUL": ({"onnx_path": '"a\\u0000b"'}, "onnx_path: expected a path, got 'a\\x00b'"),
    # names that leave the cache directory
    "model_name with ..": ({"model_name": '"../evil"'}, f"model_name: {MODEL_NAME}, got '../evil'"),
    "absolute model_name": ({"model_name": '"/etc/evil"'}, f"model_name: {MODEL_NAME}, got '/etc/evil'"),
    "model_name with a separator": ({"model_name": '"a/b"'}, f"model_name: {MODEL_NAME}, got 'a/b'"),
    "model_name with __": ({"model_name": '"a__b"'}, f"model_name: {MODEL_NAME}, got 'a__b'"),
    "model_name in capitals": ({"model_name": '"ResNet"'}, f"model_name: {MODEL_NAME}, got 'ResNet'"),
    "model_name with a line feed": ({"model_name": '"a\\n"'}, f"model_name: {MODEL_NAME}, got 'a\\n'"),
    "model_name of dots": ({"model_name": '".."'}, f"model_name: {MODEL_NAME}, got '..'"),
    "model_name too long": ({"model_name": f'"{"m" * 129}"'}, f"model_name: {MODEL_NAME}, got '{'m' * 119}…"),
}


@pytest.mark.parametrize("case", REFUSED_BACKBONES)
def test_refused_backbone_names_file_key_expected_and_got(tmp_path: Path, case: str) -> None:
    changes, message = REFUSED_BACKBONES[case]
    second = backbone(**changes)  # the index is part of the key path
    problems = problems_of(backbone(model_name='"first"') + second, tmp_path)
    assert len(problems) == 1, problems
    assert problems[0].startswith(f"backbones[1].{message}")
    if "unknown" in case and "key" in case:
        assert problems[0].endswith(", got unknown key 'onnx_pth'")
        assert "onnx_path" in problems[0]


REFUSED_FILES = {
    "cache_root is empty": ('cache_root = ""', "cache_root: expected a non-empty string, got ''"),
    "cache_root is a number": ("cache_root = 1", "cache_root: expected a non-empty string, got 1"),
    "runtime": ('runtime = "cuda"', "runtime: expected one of auto, tensorrt, tensorrt_rtx, got 'cuda'"),
    "precision": ("precision = 16", "precision: expected one of fp32, fp16, bf16, int8, fp8, got 16"),
    "workspace_mb": ("workspace_mb = 1.5", "workspace_mb: expected a positive int, got 1.5"),
    "jetpack": ("jetpack = 6.2", "jetpack: expected a non-empty string, got 6.2"),
    "unknown key": ("cacheroot = 'x'", "cacheroot: expected one of backbones, cache_root, "),
    "unknown table": ("[engine]\na = 1", "engine: expected one of backbones, cache_root, "),
    "backbones is a table": (
        "[backbones]\na = 1",
        "backbones: expected an array of tables ([[backbones]]), got {'a': 1}",
    ),
    "backbones is a string": ('backbones = "a"', "backbones: expected an array of tables ([[backbones]]), got 'a'"),
    "backbones of numbers": ("backbones = [1]", "backbones[0]: expected a table, got 1"),
    "image builder": ('[image]\nbuilder = "kaniko"', "image.builder: expected one of "),
    "image is a string": ('image = "a"', "image: expected a table, got 'a'"),
    "signing without keys": (
        "[signing]\nrequire_signature = true",
        "signing.trusted_keys: expected at least one key, because require_signature is true, got none",
    ),
}


@pytest.mark.parametrize("case", REFUSED_FILES)
def test_refused_file_names_file_key_expected_and_got(tmp_path: Path, case: str) -> None:
    text, message = REFUSED_FILES[case]
    problems = problems_of(text + "\n", tmp_path)
    assert problems[0].startswith(message), problems


def test_duplicate_model_name(tmp_path: Path) -> None:
    assert problems_of(backbone() * 3, tmp_path) == [
        "backbones: model_name: expected each name once, got 'resnet50' 3 times"
    ]


SHAPES = {
    "min above opt": (
        "inputs.x = {min = [2], opt = [1], max = [3]}",
        "backbones[0].inputs.x: expected min <= opt <= max, got [2], [1], [3]",
    ),
    "ranks differ": (
        "inputs.x = {min = [1], opt = [1, 1], max = [1]}",
        "backbones[0].inputs.x: expected min, opt and max of one rank, got [1], [1, 1], [1]",
    ),
    "no max": ("inputs.x = {min = [1], opt = [1]}", "backbones[0].inputs.x.max: expected ints, got nothing"),
    "float": (
        "inputs.x = {min = [1], opt = [1.5], max = [2]}",
        "backbones[0].inputs.x.opt: expected ints, got [1.5]",
    ),
    "flag": ("inputs.x = {min = [true], opt = [1], max = [1]}", "backbones[0].inputs.x.min: expected ints, got [True]"),
    "no array": ("inputs.x = {min = 1, opt = [1], max = [1]}", "backbones[0].inputs.x.min: expected ints, got 1"),
    "beyond 64 bits": (
        f"inputs.x = {{min = [1], opt = [1], max = [{2**63}]}}",
        f"backbones[0].inputs.x.max: expected ints, got [{2**63}]",
    ),
    "unknown bound": (
        "inputs.x = {min = [1], opt = [1], max = [1], best = [1]}",
        "backbones[0].inputs.x.best: expected one of max, min, opt, got unknown key 'best'",
    ),
    "not a table": ("inputs.x = [1]", "backbones[0].inputs.x: expected a table, got [1]"),
    "inputs and profiles": (
        "inputs.x = {min = [1], opt = [1], max = [1]}\nprofiles = [{x = {min = [1], opt = [1], max = [1]}}]",
        "backbones[0].profiles: expected inputs (one profile) or profiles (several), got both",
    ),
}


@pytest.mark.parametrize("case", SHAPES)
def test_refused_shapes_of_profiles(tmp_path: Path, case: str) -> None:
    text, message = SHAPES[case]
    assert message in problems_of(backbone(expected_input_shape="") + text + "\n", tmp_path)


@pytest.mark.parametrize(
    ("low", "best", "high"),
    [
        ([1, 0, 8], [1, 64, 8], [1, 256, 8]),  # a KV cache that may be empty
        ([0], [8], [63]),
        ([-64], [-1], [2**63 - 1]),  # values of a shape input
        ([-(2**63)], [0], [0]),
        ([], [], []),
    ],
)
def test_any_integers_are_shapes_until_the_network_is_known(
    tmp_path: Path, low: list[int], best: list[int], high: list[int]
) -> None:
    text = f"{{min = {low}, opt = {best}, max = {high}}}"
    for key in (f"inputs.x = {text}", f"profiles = [{{x = {text}}}]"):
        (only,) = load(backbone(expected_input_shape="") + key + "\n", tmp_path).backbones
        (profile,) = only.shape_profiles()
        assert profile.inputs == (("x", ShapeRange(tuple(low), tuple(best), tuple(high))),)


def test_keep_fp32_in_the_users_order(tmp_path: Path) -> None:
    (only,) = load(backbone(keep_fp32='["Softmax", "/encoder/layer.3/*", "Add"]'), tmp_path).backbones
    assert only.options.keep_fp32 == ("Softmax", "/encoder/layer.3/*", "Add")
    assert only.options.conversion == "auto"


@pytest.mark.parametrize(
    ("of_file", "own", "refused"), [("fp32", "", True), ("fp32", "bf16", False), ("fp16", "fp32", True)]
)
def test_keep_fp32_is_judged_by_the_precision_that_counts(
    tmp_path: Path,
    of_file: str,
    own: str,
    refused: bool,  # noqa: FBT001
) -> None:
    changes = {"keep_fp32": '["Softmax"]', "precision": f'"{own}"' if own else ""}
    text = backbone(**changes) + backbone(model_name='"other"')
    text = f'precision = "{of_file}"\n{text}'
    if refused:
        (problem,) = problems_of(text, tmp_path)
        assert problem.startswith("backbones[0].keep_fp32: expected no keep_fp32 with precision fp32")
    else:
        assert load(text, tmp_path).backbones[0].options.keep_fp32 == ("Softmax",)


def test_problems_of_conversion_are_told_with_all_others(tmp_path: Path) -> None:
    text = backbone(strongly_typed="true", keep_fp32='["a", "a"]', conversion='"never"', tf32="1", precision='"fp32"')
    assert [problem.split(": ")[0] for problem in problems_of(text, tmp_path)] == [
        "backbones[0].tf32",
        "backbones[0].keep_fp32",
        "backbones[0].keep_fp32",
        "backbones[0].strongly_typed",
    ]


def test_shape_beside_profiles_is_refused(tmp_path: Path) -> None:
    text = backbone() + "inputs.input = {min = [1], opt = [1], max = [1]}\n"
    assert problems_of(text, tmp_path) == [
        "backbones[0].expected_input_shape: expected one of expected_input_shape, inputs and profiles, got several"
    ]


def test_all_problems_in_one_message(tmp_path: Path) -> None:
    text = (
        'runtime = "cuda"\nworkspace_mb = 0\nnonsense = 1\n'
        + backbone(model_name='"../evil"', expected_input_shape="[1, -3]", input_name='""')
        + backbone(onnx_path="", precision='"fp64"', extra="1")
    )
    keys = [problem.split(": ")[0] for problem in problems_of(text, tmp_path)]
    assert sorted(keys) == [
        "backbones[0].expected_input_shape",
        "backbones[0].input_name",
        "backbones[0].model_name",
        "backbones[1].extra",
        "backbones[1].onnx_path",
        "backbones[1].precision",
        "nonsense",
        "runtime",
        "workspace_mb",
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a = [1", "expected TOML, got TOMLDecodeError: "),
        (b"a = 1\na = 2", "expected TOML, got TOMLDecodeError: "),
        (b"\xff\xfe", "expected TOML, got UnicodeDecodeError: "),
        (b"a = " + b"[" * 100_000, "expected TOML, got "),
    ],
)
def test_what_is_no_toml(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "backbones.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        C10ProvisioningConfig.load(path)
    assert str(raised.value).startswith(f"{path}: {words}")


def test_missing_file_and_directory_in_its_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: expected a configuration, got No such file or directory\n"):
        C10ProvisioningConfig.load(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="expected a configuration, got Is a directory"):
        C10ProvisioningConfig.load(tmp_path)


def test_the_documented_defaults(tmp_path: Path) -> None:
    config = load("", tmp_path)
    assert (config.runtime, config.precision, config.workspace_mb) == ("auto", "fp16", 4096)
    assert config.cache_root == tmp_path / "engines"
    assert config.backbones == ()
    (only,) = load(backbone(), tmp_path).backbones
    assert only.input_name == "input"
    assert (only.precision, only.workspace_mb) == (None, None)


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    text = 'cache_root = "cache"\n' + backbone(calibration_cache='"c.cache"', plugins='["p.so"]')
    config = load(text, tmp_path)
    (only,) = config.backbones
    assert config.cache_root == tmp_path / "cache"
    assert only.onnx_path == tmp_path / "models/resnet50.onnx"
    assert only.options.calibration_cache == tmp_path / "c.cache"
    assert only.options.plugins == (tmp_path / "p.so",)
    assert load('cache_root = "/srv/engines"', tmp_path).cache_root == Path("/srv/engines")


def test_specs_follow_the_file_and_a_backbones_own_values_win(tmp_path: Path) -> None:
    text = (
        'precision = "fp32"\nworkspace_mb = 64\n'
        + backbone(model_name='"a"')
        + backbone(model_name='"b"', precision='"int8"', workspace_mb="32")
    )
    config = load(text, tmp_path)
    assert [spec.model_name for spec in build_backbone_specs(config)] == ["a", "b"]
    a, b = corpus_targets(config, host=HOST)
    assert (a.build_config.precision, a.build_config.workspace_mb) == ("fp32", 64)
    assert (b.build_config.precision, b.build_config.workspace_mb) == ("int8", 32)


def test_short_form_is_one_profile_of_one_shape(tmp_path: Path) -> None:
    (spec,) = build_backbone_specs(load(backbone(input_name='"gpu_0/data_0"'), tmp_path))
    shape = (1, 3, 224, 224)
    assert spec.shape_profiles() == (
        OptimizationProfile((("gpu_0/data_0", ShapeRange(min=shape, opt=shape, max=shape)),)),
    )


def test_cache_root_may_name_device_and_sm_count(tmp_path: Path) -> None:
    config = load('cache_root = "engines/{device}-{sm_count}"\n' + backbone(), tmp_path)
    host = HostCapabilities(sm="87", jp="6.2", trt="10.3", device_name="Orin (nvgpu)", sm_count=16)
    (target,) = corpus_targets(config, host=host)
    assert target.engine_path.parent == tmp_path / "engines/orin-(nvgpu)-16"


@pytest.mark.parametrize(
    "cache_root",
    ["engines/{sm_cuont}", "engines/{device", "engines/device}", "{}", "{{device}}", "{device}/{SM}"],
)
def test_cache_root_refuses_any_other_braces(tmp_path: Path, cache_root: str) -> None:
    assert problems_of(f'cache_root = "{cache_root}"\n' + backbone(), tmp_path) == [
        f"cache_root: expected no braces except in {{device}} and {{sm_count}}, got {cache_root!r}"
    ]


def test_braces_of_the_folder_are_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "{0f3a}"
    folder.mkdir()
    assert load("", folder).cache_root == folder / "engines"


def test_workspace_over_half_of_the_boards_memory_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = load(backbone(), tmp_path)
    for memory, warned in ((8191, True), (8192, False), (None, False)):
        caplog.clear()
        host = HostCapabilities(sm="87", jp="6.2", trt="10.3", memory_mb=memory)
        corpus_targets(config, host=host)
        records = [record for record in caplog.records if getattr(record, "event", "") == "c10.config.workspace.large"]
        assert len(records) == warned
        assert all(record.levelname == "WARNING" and record.__dict__["memory_mb"] == memory for record in records)


def test_missing_onnx_is_no_problem_of_the_file(tmp_path: Path) -> None:
    (target,) = corpus_targets(load(backbone(), tmp_path), host=HOST)
    assert not target.onnx_path.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_name": "../evil"}, f"model_name: {MODEL_NAME}, got '../evil'"),
        ({"expected_input_shape": (1, -3)}, "expected_input_shape: expected positive ints, got [1, -3]"),
        ({"expected_input_shape": ()}, "expected_input_shape: expected positive ints, got []"),
        ({"expected_input_shape": (1, True)}, "expected_input_shape: expected positive ints, got [1, True]"),
        ({"input_name": ""}, "input_name: expected a non-empty string, got ''"),
        ({"workspace_mb": 0}, "workspace_mb: expected a positive int, got 0"),
        ({"precision": "fp64"}, "precision: expected one of fp32, fp16, bf16, int8, fp8, got 'fp64'"),
        (
            {"options": BuildOptions(conversion=True)},
            "options.conversion: expected one of auto, always, never, got True",
        ),
        (
            {"options": BuildOptions(keep_fp32="Softmax")},
            "options.keep_fp32: expected a tuple of non-empty strings, got 'Softmax'",
        ),
        ({"options": BuildOptions(tf32="no")}, "options.tf32: expected True or False, got 'no'"),
        (
            {"options": BuildOptions(builder_optimization_level=6)},
            "options.builder_optimization_level: expected an int from 0 to 5, got 6",
        ),
        (
            {"options": BuildOptions(plugins=("x.so",))},
            "options.plugins: expected a tuple of pathlib.Path, got ('x.so',)",
        ),
        ({"options": BuildOptions(timeout_s=0)}, "options.timeout_s: expected a positive int, got 0"),
        (
            {"options": BuildOptions(keep_fp32=("a", "a"))},
            "options.keep_fp32: expected different operator types or name patterns, got ['a', 'a']",
        ),
        (
            {"options": BuildOptions(keep_fp32=("a",), conversion="never")},
            'options.keep_fp32: expected no keep_fp32 with conversion = "never", which converts nothing '
            "(remove one of them), got ['a']",
        ),
        (
            {"options": BuildOptions(keep_fp32=("a",)), "precision": "int8"},
            "options.keep_fp32: expected no keep_fp32 with precision int8, to which nothing is converted "
            "(remove it, or use fp16 or bf16), got ['a']",
        ),
    ],
)
def test_values_given_in_python_are_held_to_the_same_rules(changes: dict[str, Any], message: str) -> None:
    values = {**BACKBONE, **changes}
    with pytest.raises(ConfigError) as raised:
        BackboneConfig(**values)
    assert str(raised.value) == f"BackboneConfig: {message}"
    with pytest.raises(ConfigError) as raised:
        EngineCompileRequest(backbones=(BackboneSpec(**values),), cache_root=Path("e"), host=HOST)
    assert str(raised.value) == f"backbones[0]: {message}"


def test_keep_fp32_is_judged_by_the_precision_of_the_request() -> None:
    spec = BackboneSpec(**BACKBONE, options=BuildOptions(keep_fp32=("Softmax",)))
    BackboneConfig(**BACKBONE, options=spec.options)  # its precision is not known yet
    EngineCompileRequest(backbones=(spec,), cache_root=Path("e"), host=HOST, precision="bf16")
    with pytest.raises(ConfigError, match=r"backbones\[0\]: options\.keep_fp32: .* with precision fp32"):
        EngineCompileRequest(backbones=(spec,), cache_root=Path("e"), host=HOST, precision="fp32")


def test_request_refuses_a_name_given_twice_and_a_bad_workspace() -> None:
    spec = BackboneSpec(**BACKBONE)
    with pytest.raises(ConfigError, match=r"backbones\[1\]\.model_name: expected each name once, got 'resnet50' twice"):
        EngineCompileRequest(backbones=(spec, spec), cache_root=Path("e"), host=HOST)
    with pytest.raises(ConfigError, match="workspace_mb: expected a positive int, got 0"):
        EngineCompileRequest(backbones=(spec,), cache_root=Path("e"), host=HOST, workspace_mb=0)


TOML_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
KEYS = ["backbones", "cache_root", "runtime", "precision", "workspace_mb", "jetpack", "image", "signing"]
INNER = [
    *("model_name", "onnx_path", "expected_input_shape", "input_name", "precision", "inputs", "profiles", "plugins"),
    *("conversion", "keep_fp32", "strongly_typed"),
]


@settings(max_examples=200)
@given(
    st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), TOML_VALUES, max_size=6)
    | st.fixed_dictionaries(
        {"backbones": st.lists(st.dictionaries(st.sampled_from(INNER), TOML_VALUES, max_size=8), max_size=3)}
    )
    | st.fixed_dictionaries(
        {
            "backbones": st.lists(
                st.fixed_dictionaries(
                    {k: st.just(v) for k, v in BACKBONE.items()}, optional=dict.fromkeys(INNER[3:], TOML_VALUES)
                ),
                max_size=2,
            )
        }
    )
)
@example({"backbones": [{**BACKBONE, "inputs": {"x": {"min": [], "opt": [], "max": []}}}]})
def test_any_document_is_a_configuration_or_a_config_error(document: dict[str, Any]) -> None:
    problems: list[str] = []
    config = C10ProvisioningConfig()
    try:
        config = C10ProvisioningConfig.from_mapping(document, where="backbones.toml")
    except ConfigError as error:
        problems = error.problems or [""]
    assert all(line.startswith("backbones.toml: ") and ", got " in line for line in problems)
    assert config.precision in PRECISIONS
    assert len({backbone.model_name for backbone in config.backbones}) == len(config.backbones)


def test_doit_prints_the_message_and_no_traceback(corpus: Corpus) -> None:
    (corpus.folder / "backbones.toml").write_text(backbone(expected_input_shape="[1, -3]") + 'precison = "fp16"\n')
    done = corpus.doit("engines")
    assert done.returncode == 3
    said = done.stdout + done.stderr
    assert "backbones.toml: backbones[0].expected_input_shape: expected positive ints, got [1, -3]" in said
    assert "got unknown key 'precison'" in said
    assert "Traceback" not in said
    assert not corpus.engines.exists()
