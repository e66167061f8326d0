"""An engine has the precision that its name says, or there is none: real TensorRT-RTX."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from networks import matmul_network, quantized_network
from onnx import TensorProto, helper

from c10 import BuildConfig, EngineBuildError
from c10.corpus.spec import BuildOptions, OptimizationProfile, Precision, ShapeRange
from c10.runtimes.isolated import IsolatedRuntime

NAME = "matmul__sm80_jpnone_rtx1.7_fp32.engine"
WIDTH = 1 << 18


def config(precision: Precision, width: int = 8) -> BuildConfig:
    shapes = {"left": ShapeRange.fixed((2, 8)), "right": ShapeRange.fixed((2, width))}
    return BuildConfig(precision=precision, profiles=(OptimizationProfile.of(shapes),))


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_sixteen_bits_halve_a_network_of_weights(rtx: IsolatedRuntime, tmp_path: Path, precision: Precision) -> None:
    model = matmul_network(tmp_path / "matmul.onnx", width=WIDTH)
    full = rtx.compile_engine(model, config("fp32", WIDTH), tmp_path / "32" / NAME)
    half = rtx.compile_engine(model, config(precision, WIDTH), tmp_path / "16" / NAME)
    assert full.size is not None
    assert half.size is not None
    assert 0.45 < half.size / full.size < 0.6
    assert half.network is not None
    assert (half.network.types_from, half.network.share) == ("conversion", 1.0)
    assert full.network is not None
    assert full.network.types_from == "network"


@pytest.mark.parametrize(("precision", "other"), [("fp16", "bf16"), ("bf16", "fp16")])
def test_an_exported_precision_is_taken_as_it_is_and_is_no_other(
    rtx: IsolatedRuntime, tmp_path: Path, precision: Precision, other: Precision
) -> None:
    element = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}[precision]
    model = matmul_network(tmp_path / "matmul.onnx", elem_type=element)
    entry = rtx.compile_engine(model, config(precision), tmp_path / NAME)
    assert entry.network is not None
    assert (entry.network.types_from, entry.network.share) == ("network", 1.0)
    for wrong in (other, "fp32"):
        with pytest.raises(EngineBuildError, match=f'got one of {precision}\nSet precision = "{precision}"'):
            rtx.compile_engine(model, config(wrong), tmp_path / NAME)


def test_int8_takes_q_dq_nodes_and_nothing_else(rtx: IsolatedRuntime, tmp_path: Path) -> None:
    int8 = BuildConfig(precision="int8")
    rtx.compile_engine(quantized_network(tmp_path / "quantized.onnx"), int8, tmp_path / NAME)
    expected = 'precision int8: expected a network with Q/DQ nodes of int8, got one without\nSet precision = "fp32"'
    with pytest.raises(EngineBuildError, match=expected):
        rtx.compile_engine(matmul_network(tmp_path / "plain.onnx", batch=2), int8, tmp_path / NAME)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_a_quantized_model_is_int8_alone(rtx: IsolatedRuntime, tmp_path: Path, precision: Precision) -> None:
    model = quantized_network(tmp_path / "quantized.onnx")
    with pytest.raises(EngineBuildError, match='Q/DQ nodes of int8\nSet precision = "int8"'):
        rtx.compile_engine(model, BuildConfig(precision=precision), tmp_path / NAME)


def test_a_model_of_an_unknown_operator_is_a_build_error(rtx: IsolatedRuntime, tmp_path: Path) -> None:
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Unheard", ["left"], ["sum"], domain="somebody")],
        "foreign",
        [tensor("left", TensorProto.FLOAT, [2, 8])],
        [tensor("sum", TensorProto.FLOAT, [2, 8])],
    )
    model = tmp_path / "foreign.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), model)
    expected = (
        r"precision fp16: expected a layer that can compute in it, got none\n.*1 × somebody\.Unheard: operators of"
    )
    with pytest.raises(EngineBuildError, match=expected):
        rtx.compile_engine(model, BuildConfig(precision="fp16"), tmp_path / NAME)
    assert [p.name for p in tmp_path.iterdir()] == ["foreign.onnx"]


def test_never_gives_tensorrt_the_file_as_it_is(rtx: IsolatedRuntime, tmp_path: Path) -> None:
    model = matmul_network(tmp_path / "matmul.onnx", batch=2)
    never = BuildOptions(conversion="never")
    plain = rtx.compile_engine(model, BuildConfig(precision="fp32", options=never), tmp_path / "never" / NAME)
    auto = rtx.compile_engine(model, BuildConfig(precision="fp32"), tmp_path / "auto" / NAME)
    assert plain.sha256 == auto.sha256
    with pytest.raises(EngineBuildError, match='since conversion is never; got one of fp32\nSet precision = "fp32"'):
        rtx.compile_engine(model, BuildConfig(precision="fp16", options=never), tmp_path / NAME)
