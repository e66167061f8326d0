"""An engine has the precision that its name says, or there is none."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import onnx
import pytest
from networks import matmul_network, quantized_network
from onnx import TensorProto, helper

from c10 import BuildConfig, EngineBuildError
from c10.corpus.spec import OptimizationProfile, Precision, ShapeRange
from c10.errors import PublishError
from c10.runtimes.isolated import IsolatedRuntime
from c10.runtimes.precision import converted

NAME = "matmul__sm80_jpnone_rtx1.7_fp32.engine"
WIDTH = 1 << 18


def config(precision: Precision, width: int = 8) -> BuildConfig:
    shapes = {"left": ShapeRange.fixed((2, 8)), "right": ShapeRange.fixed((2, width))}
    return BuildConfig(precision=precision, profiles=(OptimizationProfile.of(shapes),))


def test_fp16_halves_a_network_of_weights(rtx: IsolatedRuntime, tmp_path: Path) -> None:
    model = matmul_network(tmp_path / "matmul.onnx", width=WIDTH)
    full = rtx.compile_engine(model, config("fp32", WIDTH), tmp_path / "32" / NAME)
    half = rtx.compile_engine(model, config("fp16", WIDTH), tmp_path / "16" / NAME)
    assert full.size is not None
    assert half.size is not None
    assert full.sha256 != half.sha256
    assert 0.45 < half.size / full.size < 0.6


@pytest.mark.parametrize(
    ("number", "remedy"), [(errno.ENOSPC, "Free space on that file system"), (errno.EROFS, "mounted read-only")]
)
def test_no_room_for_the_converted_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, remedy: str
) -> None:
    def save(_model: object, path: Path, **_options: object) -> None:
        path.write_bytes(b"half a model")
        raise OSError(number, os.strerror(number), str(path))

    model = matmul_network(tmp_path / "matmul.onnx")
    monkeypatch.setattr(onnx, "save_model", save)
    expected = f"{NAME}: write: expected to write the model in fp16 beside it .*, got {os.strerror(number)}\n.*{remedy}"
    with pytest.raises(PublishError, match=expected), converted(model, "fp16", beside=tmp_path / NAME):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["matmul.onnx"]


def test_a_model_exported_in_fp16_is_taken_as_it_is_and_is_no_fp32(rtx: IsolatedRuntime, tmp_path: Path) -> None:
    model = matmul_network(tmp_path / "matmul.onnx", elem_type=TensorProto.FLOAT16)
    rtx.compile_engine(model, config("fp16"), tmp_path / NAME)
    with pytest.raises(EngineBuildError, match="precision fp32: expected a network of fp32, got one with HALF"):
        rtx.compile_engine(model, config("fp32"), tmp_path / NAME)


def test_a_model_exported_in_bf16_is_bf16_and_another_is_not(rtx: IsolatedRuntime, tmp_path: Path) -> None:
    model = matmul_network(tmp_path / "bf16.onnx", elem_type=TensorProto.BFLOAT16)
    rtx.compile_engine(model, config("bf16"), tmp_path / NAME)
    with pytest.raises(EngineBuildError, match="precision bf16: expected a model exported in bf16"):
        rtx.compile_engine(matmul_network(tmp_path / "fp32.onnx"), config("bf16"), tmp_path / NAME)


def test_int8_takes_q_dq_nodes_and_nothing_else(rtx: IsolatedRuntime, tmp_path: Path) -> None:
    int8 = BuildConfig(precision="int8")
    rtx.compile_engine(quantized_network(tmp_path / "quantized.onnx"), int8, tmp_path / NAME)
    with pytest.raises(EngineBuildError, match="precision int8: expected an ONNX with Q/DQ nodes of INT8, got none"):
        rtx.compile_engine(matmul_network(tmp_path / "plain.onnx", batch=2), int8, tmp_path / NAME)


def test_a_quantized_model_is_no_fp32(rtx: IsolatedRuntime, tmp_path: Path) -> None:
    with pytest.raises(EngineBuildError, match="got one with INT8"):
        rtx.compile_engine(
            quantized_network(tmp_path / "quantized.onnx"), BuildConfig(precision="fp32"), tmp_path / NAME
        )


def test_a_model_that_cannot_be_converted_is_a_build_error(rtx: IsolatedRuntime, tmp_path: Path) -> None:
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Unheard", ["left"], ["sum"], domain="somebody")],
        "foreign",
        [tensor("left", TensorProto.FLOAT, [2, 8])],
        [tensor("sum", TensorProto.FLOAT, [2, 8])],
    )
    model = tmp_path / "foreign.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), model)
    expected = r"foreign\.onnx: precision fp16: expected a model that can be converted, got InferenceError: .*Unheard"
    with pytest.raises(EngineBuildError, match=expected):
        rtx.compile_engine(model, BuildConfig(precision="fp16"), tmp_path / NAME)
    assert [p.name for p in tmp_path.iterdir()] == ["foreign.onnx"]


ZERO = helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0])


def _network(path: Path, nodes: list[onnx.NodeProto], outputs: tuple[str, ...]) -> Path:
    tensor = helper.make_tensor_value_info
    ones = helper.make_tensor("ones", TensorProto.FLOAT, [1, 8], [1.0] * 8)
    graph = helper.make_graph(
        nodes,
        "trap",
        [tensor("input", TensorProto.FLOAT, [1, 8])],
        [tensor(name, TensorProto.FLOAT, [1, 8]) for name in outputs],
        [ones],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        pytest.param(
            [
                helper.make_node("Cast", ["input"], ["cast"], to=TensorProto.FLOAT),
                helper.make_node("Add", ["cast", "ones"], ["sum"]),
            ],
            ("sum",),
            id="cast-to-float",
        ),
        pytest.param(
            [
                helper.make_node("Add", ["input", "ones"], ["early"]),
                helper.make_node("Mul", ["early", "ones"], ["late"]),
            ],
            ("early", "late"),
            id="output-read-inside",
        ),
        pytest.param(
            [
                helper.make_node("Shape", ["input"], ["shape"]),
                helper.make_node("ConstantOfShape", ["shape"], ["zeros"], value=ZERO),
                helper.make_node("Add", ["input", "zeros"], ["sum"]),
            ],
            ("sum",),
            id="nodes-without-names",
        ),
        pytest.param(
            [
                helper.make_node("Constant", [], ["two"], value_floats=[2.0]),
                helper.make_node("Mul", ["input", "two"], ["product"]),
            ],
            ("product",),
            id="constant-as-floats",
        ),
        pytest.param(
            [
                helper.make_node("Max", ["input", "ones"], ["larger"]),
                helper.make_node("Add", ["larger", "ones"], ["sum"]),
            ],
            ("sum",),
            id="initializer-shared-with-a-node-that-stays-fp32",
        ),
    ],
)
def test_traps_of_the_converter_are_stepped_over(
    rtx: IsolatedRuntime, tmp_path: Path, nodes: list[onnx.NodeProto], outputs: tuple[str, ...]
) -> None:
    model = _network(tmp_path / "trap.onnx", nodes, outputs)
    entry = rtx.compile_engine(model, BuildConfig(precision="fp16"), tmp_path / "engines" / NAME)
    assert entry.engine_path.is_file()
    assert {p.name for p in (tmp_path / "engines").iterdir()} == {NAME, f"{NAME}.sha256"}


def test_outputs_keep_their_type_where_a_node_that_stays_fp32_makes_them(tmp_path: Path) -> None:
    nodes = [helper.make_node("Add", ["input", "ones"], ["sum"]), helper.make_node("Max", ["sum", "ones"], ["larger"])]
    model = _network(tmp_path / "max.onnx", nodes, ("larger",))
    with converted(model, "fp16", beside=tmp_path / NAME) as path:
        graph = onnx.shape_inference.infer_shapes(onnx.load(path), strict_mode=True).graph
    assert [output.type.tensor_type.elem_type for output in graph.output] == [TensorProto.FLOAT]
    types = {value.name: value.type.tensor_type.elem_type for value in graph.value_info}
    assert TensorProto.FLOAT16 in types.values()
    (last,) = [node for node in graph.node if "larger" in node.output]
    assert last.op_type == "Cast", "what the output says it is, a cast has made it"
