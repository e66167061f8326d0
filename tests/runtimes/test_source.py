"""What TensorRT is given: one answer for each precision of a network, asked precision, builder and ``conversion``."""

from __future__ import annotations

import json
import warnings
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import onnx
import pytest
from networks import matmul_network, quantized_network
from onnx import TensorProto, helper

from c10.conversion import storage
from c10.conversion.model import Model
from c10.conversion.report import KeptNodes, NetworkReport
from c10.conversion.result import ConversionResult
from c10.corpus.spec import BuildConfig, BuildOptions, OptimizationProfile, Precision, ShapeRange
from c10.errors import C10Error, ConfigError, EngineBuildError
from c10.runtimes.child import source as source_module
from c10.runtimes.child.source import Source, source_of
from c10.runtimes.messages import CompileJob

ELEMENTS = {"fp32": TensorProto.FLOAT, "fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}
AS_IT_IS, CONVERTED, BUILDER = "network", "conversion", "builder"


def job_of(model: Path, precision: Precision, **options: object) -> CompileJob:
    config = BuildConfig(precision=precision, options=replace(BuildOptions(), **options))  # type: ignore[arg-type]
    return CompileJob("rtx", "1.7.1", model, config, model.parent / "engines" / "m.engine")


def prepare(job: CompileJob, *, strong: bool = True) -> Source:
    with source_of(job, strong=strong, progress=lambda _: None) as source:
        return source


def network_of(kind: str, path: Path) -> Path:
    if kind == "int8":
        return quantized_network(path)
    return matmul_network(path, elem_type=ELEMENTS[kind])


class Rule(NamedTuple):
    kind: str
    precision: Precision
    typing: str  # of the builder
    conversion: str
    expected: str  # who chooses the types, or what the refusal says to set


RULES = [
    Rule("fp32", "fp32", "strong", "auto", AS_IT_IS),
    Rule("fp32", "fp16", "strong", "auto", CONVERTED),
    Rule("fp32", "bf16", "strong", "auto", CONVERTED),
    Rule("fp32", "fp16", "strong", "always", CONVERTED),
    Rule("fp32", "fp16", "weak", "auto", BUILDER),
    Rule("fp32", "bf16", "weak", "auto", BUILDER),
    Rule("fp32", "fp16", "strong", "never", 'Set precision = "fp32", or conversion = "auto"'),
    Rule("fp32", "fp32", "strong", "never", AS_IT_IS),
    Rule("fp32", "int8", "strong", "auto", 'Set precision = "fp32"'),
    Rule("fp16", "fp16", "strong", "auto", AS_IT_IS),
    Rule("fp16", "fp16", "strong", "never", AS_IT_IS),
    Rule("fp16", "fp16", "weak", "auto", AS_IT_IS),
    Rule("fp16", "fp32", "strong", "auto", 'Set precision = "fp16"'),
    Rule("fp16", "fp32", "weak", "auto", 'Set precision = "fp16"'),
    Rule("fp16", "bf16", "strong", "auto", 'Set precision = "fp16"'),
    Rule("bf16", "bf16", "strong", "auto", AS_IT_IS),
    Rule("bf16", "fp16", "strong", "always", 'Set precision = "bf16"'),
    Rule("bf16", "fp32", "strong", "never", 'Set precision = "bf16"'),
    Rule("int8", "int8", "strong", "auto", AS_IT_IS),
    Rule("int8", "int8", "strong", "never", AS_IT_IS),
    Rule("int8", "fp16", "strong", "auto", 'Set precision = "int8"'),
    Rule("int8", "fp32", "strong", "never", 'Set precision = "int8"'),
    Rule("int8", "fp16", "weak", "auto", 'Set precision = "int8"'),
    Rule("int8", "fp8", "strong", "auto", 'Set precision = "int8"'),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: "-".join(map(str, rule[:4])))
def test_one_answer_for_each_combination(tmp_path: Path, rule: Rule) -> None:
    job = job_of(network_of(rule.kind, tmp_path / "m.onnx"), rule.precision, conversion=rule.conversion)
    if rule.expected in {AS_IT_IS, CONVERTED, BUILDER}:
        source = prepare(job, strong=rule.typing == "strong")
        assert source.report.types_from == rule.expected
        assert (source.content is not None) == (rule.expected == CONVERTED)
        assert source.path == job.onnx_path
    else:
        with pytest.raises(EngineBuildError) as caught:
            prepare(job, strong=rule.typing == "strong")
        assert caught.value.remedy.startswith(rule.expected)
        assert f"precision {rule.precision}: " in caught.value.message
    assert not (tmp_path / "engines").exists()


@pytest.mark.parametrize(
    "rule",
    [
        Rule("fp16", "fp16", "strong", "auto", "Remove keep_fp32."),
        Rule("fp32", "fp16", "weak", "auto", 'Remove keep_fp32, or set conversion = "always"'),
    ],
)
def test_keep_fp32_is_refused_where_nothing_is_converted(tmp_path: Path, rule: Rule) -> None:
    job = job_of(network_of(rule.kind, tmp_path / "m.onnx"), rule.precision, keep_fp32=("MatMul",))
    with pytest.raises(EngineBuildError) as caught:
        prepare(job, strong=rule.typing == "strong")
    assert caught.value.remedy.startswith(rule.expected)


def test_keep_fp32_that_names_nothing_is_refused(tmp_path: Path) -> None:
    job = job_of(network_of("fp32", tmp_path / "m.onnx"), "fp16", keep_fp32=("MatMul", "/encoder/*", "Softmax"))
    with pytest.raises(ConfigError, match=r"keep_fp32: .*got /encoder/\*, Softmax\n"):
        prepare(job)


def test_a_network_of_which_nothing_can_be_converted_is_refused_with_the_reasons(tmp_path: Path) -> None:
    job = job_of(network_of("fp32", tmp_path / "m.onnx"), "fp16", keep_fp32=("MatMul", "Add"))
    with pytest.raises(EngineBuildError, match="expected a layer that can compute in it, got none") as caught:
        prepare(job)
    assert caught.value.log == ("1 × MatMul: keep_fp32 names it: MatMul", "1 × Add: keep_fp32 names it: Add")
    assert caught.value.remedy == 'Use precision = "fp32" for this network.'


def test_the_converted_network_is_checked_before_tensorrt_sees_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = source_module.convert

    def damaging(model: Model, *arguments: Any, **options: Any) -> ConversionResult:
        result = real(model, *arguments, **options)
        model.proto.graph.node[0].input[0] = "nowhere"
        return result

    monkeypatch.setattr(source_module, "convert", damaging)
    with pytest.raises(
        EngineBuildError, match="conversion to fp16: expected c10 to keep a valid model valid"
    ) as caught:
        prepare(job_of(network_of("fp32", tmp_path / "m.onnx"), "fp16"))
    assert "a defect of c10, not of the model" in caught.value.remedy


def test_an_original_that_is_invalid_is_recorded_as_such(tmp_path: Path) -> None:
    path = network_of("fp32", tmp_path / "m.onnx")
    model = onnx.load(path)
    model.graph.node[1].attribute.append(helper.make_attribute("nobody_knows_it", 1))
    onnx.save(model, path)
    report = prepare(job_of(path, "fp16")).report
    assert report.converted
    assert "nobody_knows_it" in report.onnx_problem


def test_warnings_of_libraries_reach_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def warning(path: Path) -> object:
        warnings.warn("weights are odd", RuntimeWarning, stacklevel=2)
        return storage.read_model(path)

    monkeypatch.setattr(source_module, "read_model", warning)
    report = prepare(job_of(network_of("fp32", tmp_path / "m.onnx"), "fp16")).report
    assert report.warnings == ("RuntimeWarning: weights are odd",)


def test_weights_too_large_for_memory_go_through_a_file_that_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (storage, source_module):
        monkeypatch.setattr(module, "EMBEDDED_MAX", 100)
    job = job_of(matmul_network(tmp_path / "m.onnx", width=512), "fp16")
    with source_of(job, strong=True, progress=lambda _: None) as source:
        assert source.content is None
        assert source.path.with_name("model.onnx.data").stat().st_size == 8 * 512 * 2
        onnx.checker.check_model(str(source.path), full_check=True)
        folder = source.path.parent
    assert not folder.exists()


@pytest.mark.parametrize("content", [b"", b"\0" * 64, b"not a model", bytes(range(256)) * 8])
def test_what_is_no_model_ends_as_an_error_of_c10(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(C10Error):
        prepare(job_of(path, "fp16"))


@pytest.mark.parametrize(
    "body",
    [
        "a = Concat <axis = 1> (h, h) b = Cast <to = 1> (a) y = MatMul (x, b)",
        "a, c = Split <axis = 1> (h) b = Cast <to = 1> (a) y = MatMul (x, b)",
    ],
)
def test_half_that_a_layer_reads_as_fp32_is_fp32(tmp_path: Path, body: str) -> None:
    text = f"""<ir_version: 8, opset_import: ["": 17]>
        g (float[2,8] x) => (float[2,N] y) <float16[8,8] h = {{{", ".join(["1"] * 64)}}}> {{ {body} }}"""
    path = tmp_path / "m.onnx"
    onnx.save(onnx.parser.parse_model(text), path)
    assert prepare(job_of(path, "fp32")).report.types_from == AS_IT_IS
    assert prepare(job_of(path, "fp16")).report.types_from == CONVERTED


PADDLE = ("?", "None", "unk__7", "batch")


@pytest.mark.parametrize("name", PADDLE)
@pytest.mark.parametrize("shape", [(1, 3, 48, 192), (3, 3, 3, 3)])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_placeholders_are_set_apart_only_where_shapes_contradict_them(
    tmp_path: Path, name: str, shape: tuple[int, ...], precision: Precision
) -> None:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "paddle",
        [value("x", TensorProto.FLOAT, [name] * 4)],
        [value("y", TensorProto.FLOAT, [name] * 4)],
    )
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    job = job_of(path, precision)
    profile = OptimizationProfile.of({"x": ShapeRange.fixed(shape)})
    job = replace(job, build_config=replace(job.build_config, profiles=(profile,)))
    source = prepare(job)
    renamed = len(set(shape)) > 1 and name != "batch"
    assert source.report.renamed_dimensions == ((name,) if renamed else ())
    if source.content is not None:
        model = onnx.load_model_from_string(source.content)
        names = [d.dim_param for d in model.graph.input[0].type.tensor_type.shape.dim]
        assert len(set(names)) == (4 if renamed else 1)
    else:
        assert not renamed


def test_the_report_survives_its_way_to_the_record() -> None:
    report = NetworkReport(
        types_from="conversion",
        share=0.98765,
        computing_layers=3,
        kept=(KeptNodes(operator="Pow", reason="because", nodes=2),),
        onnx_problem="odd",
        renamed_dimensions=("?",),
        warnings=("a", "b"),
    )
    assert NetworkReport.from_json(json.loads(json.dumps(asdict(report)))) == report
    assert report.words("fp16") == "99 % of its weights in fp16"
    assert replace(report, share=0.9999).words("fp16") == "99 % of its weights in fp16"
    assert replace(report, share=1.0).words("fp16") == "100 % of its weights in fp16"
    assert replace(report, share=0.0001).words("bf16") == "1 % of its weights in bf16"
    assert replace(report, share=0.0).words("fp16") == "3 layers without weights in fp16"
    assert replace(report, types_from="network").words("fp16") == ""
