"""The emulation computes what arithmetic of 16 bits computes: to the last bit where one operation is rounded once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from conversion.case import W, X, case, network, normal
from conversion.cases import SHARED
from conversion.converting import convert
from conversion.evaluators import reference
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from c10.conversion.model import graphs_of
from c10.measurement import network as network_module
from c10.measurement.network import refuse_without_rounding
from c10.measurement.report import NotMeasuredError

from .measuring import emulated, run

HALVES = {"float16": np.dtype(np.float16), "bfloat16": np.dtype(ml_dtypes.bfloat16)}
#: Values at the borders of fp16 and bf16: ties, the largest, the smallest, NaN.
BORDERS = [0.0, -0.0, 1 + 2**-11, 1 + 3 * 2**-11, 1 + 2**-8, 1 + 3 * 2**-8, 65504, 65519.996, 65520, 1e6, 3.3e38]
BORDERS += [3.4e38, 6e-8, 2.98e-8, 2.981e-8, 1e-8, 1e-40, np.inf, -np.inf, np.nan, 2049, 257]
ALL = np.concatenate([np.array(BORDERS), -np.array(BORDERS), np.random.default_rng(0).standard_normal(10_000)])


def rounded(values: Any, half: str) -> np.ndarray[Any, Any]:
    with np.errstate(over="ignore"):
        return np.asarray(values, np.float32).astype(HALVES[half]).astype(np.float32)


def tripled(values: Any, half: str) -> np.ndarray[Any, Any]:
    with np.errstate(over="ignore"):
        return rounded(rounded(values, half) * 3, half)


def tripling(half: str) -> onnx.ModelProto:
    """Return a network that casts to 16 bits, multiplies and divides by 3 there, and casts back."""
    three = numpy_helper.from_array(np.array(3, HALVES[half]), "three")
    text = f"""g (float[N] x) => (float[N] y) {{ h = Cast <to = {getattr(TensorProto, half.upper())}> (x)
        d = Mul (h, three) e = Div (d, three) y = Cast <to = 1> (e)}}"""
    proto = network("g (float[N] x) => (float[N] y) {y = Identity (x)}", opset=22)
    parsed = onnx.parser.parse_graph(text)
    parsed.initializer.append(three)
    proto.graph.CopyFrom(parsed)
    onnx.checker.check_model(proto, full_check=True)
    return proto


@pytest.mark.parametrize("half", HALVES)
def test_values_are_rounded_and_overflow_as_numpy_does_it(half: str, tmp_path: Path) -> None:
    x = np.array(ALL, np.float32)
    product = tripled(x, half)
    np.testing.assert_array_equal(run(tripling(half), {"x": x}, tmp_path)[0], rounded(product / 3, half))
    # An overflow that a network of fp32 would not have.
    assert np.isinf(product[BORDERS.index({"float16": 65504, "bfloat16": 3.3e38}[half])])


@given(st.lists(st.floats(width=32), min_size=1, max_size=20), st.sampled_from(sorted(HALVES)))
def test_any_value_is_rounded_as_numpy_does_it(values: list[float], half: str) -> None:
    network = _session(half)
    x = np.array(values, np.float32)
    np.testing.assert_array_equal(network.run({"x": x})[0], rounded(tripled(x, half) / 3, half))


_SESSIONS: dict[str, Any] = {}


def _session(half: str) -> Any:
    import tempfile

    if half not in _SESSIONS:
        with tempfile.TemporaryDirectory() as folder:
            content = network_module.source_of(emulated(tripling(half), Path(folder)), Path(folder))
            _SESSIONS[half] = network_module.Network(content, threads=1, what="the model")
    return _SESSIONS[half]


#: Networks of fp16 alone; `onnx.reference` computes them in numpy's float16.
_IN_HALF = {
    "MatMul and Add": "a = MatMul (x, w) y = Add (a, x)",
    "Relu of a product": "a = Mul (x, x) b = Mul (a, a) y = Relu (b)",
    "moves": "a = Transpose (x) b = Transpose (a) c = Concat <axis = 0> (b, x) y, z = Split <axis = 0> (c)",
    "Sqrt, Exp and Neg": "a = Exp (x) b = Sqrt (a) y = Neg (b)",
    "ReduceSum": "y = ReduceSum <keepdims = 1> (x)",
    "If": """g = ReduceMax <keepdims = 0> (x) s = Greater (g, zero)
        y = If (s) <then_branch: graph = t () => (float16[2,8] o) {o = Mul (x, k)},
        else_branch: graph = e () => (float16[2,8] p) {p = Add (x, k)}>""",
    "Loop": """y = Loop (n, true, x) <body: graph = b (int64 i, bool c, float16[2,8] s) => (bool co, float16[2,8] so) {
        t = Mul (s, k) so = Div (t, e) co = Identity (c)}>""",
    "Scan": """y, r = Scan <num_scan_inputs = 1, body: graph = b (float16[8] s, float16[8] row) =>
        (float16[8] so, float16[8] o) {so = Add (s, row) o = Mul (so, k)}> (v, x)""",
    "CastLike": "a = Cast <to = 11> (x) b = Mul (a, a) c = CastLike (b, x) y = Mul (c, k)",
    "Constant": "a = Constant <value: tensor = float16[1] {16968}> () y = Mul (x, a)",
    "ConstantOfShape": """s = Shape (x) a = ConstantOfShape <value: tensor = float16[1] {11878}> (s) y = Mul (x, a)""",
    "EyeLike": "a = EyeLike <dtype = 10> (x) y = Mul (a, k)",
    "SequenceAt": "s = SequenceConstruct (x, x) i = Constant <value_int = 1> () a = SequenceAt (s, i) y = Mul (a, k)",
    "an integer": "a = Mul (x, k) y0 = Cast <to = 7> (a) y = Cast <to = 10> (y0)",
}


@pytest.mark.parametrize("name", _IN_HALF)
def test_networks_of_half_compute_what_the_reference_computes(name: str, tmp_path: Path) -> None:
    shapes = {"ReduceSum": "1,1", "Scan": "8"}
    proto = network(
        f"g (float16[2,8] x) => (float16[{shapes.get(name, '2,8')}] y) {{{_IN_HALF[name]}}}",
        w=W.astype(np.float16),
        k=np.float16(300.3),
        v=np.ones(8, np.float16),
        zero=np.float16(0),
        e=np.float16(290),
        n=np.array(3),
        true=np.array(True),  # noqa: FBT003
    )
    for scale in (1, 30):
        x = (X * scale).astype(np.float16)
        expected, found = reference(proto, {"x": x})[0], run(proto, {"x": x}, tmp_path)[0]
        assert found.dtype == np.float32
        # A sum may be added up in another order: one unit in the last place then.
        np.testing.assert_allclose(found, expected.astype(np.float32), rtol=2**-10, atol=1e-3 if "Mat" in name else 0)


def test_nothing_of_16_bits_is_left_but_what_rounds(tmp_path: Path) -> None:
    """Otherwise ONNX Runtime would add casts, and drop them in pairs."""
    for found in SHARED:
        proto = convert(found.build(), "fp16")
        model = onnx.shape_inference.infer_shapes(emulated(proto, tmp_path).proto)
        types: dict[str, int] = {}
        for graph in graphs_of(model.graph):
            types |= {tensor.name: tensor.data_type for tensor in graph.initializer}
            types |= {value.name: value.type.tensor_type.elem_type for value in graph.value_info}
        for graph in graphs_of(model.graph):
            for node in graph.node:
                half = [name for name in node.input if types.get(name) in {TensorProto.FLOAT16, TensorProto.BFLOAT16}]
                assert not half or node.op_type == "Cast", (found.name, node.op_type)


def test_the_weights_are_not_copied(tmp_path: Path) -> None:
    made = case("weights", "g (float[2,8] x) => (float[2,8] y) {y = MatMul (x, w)}", {"x": X}, w=normal(8, 8))
    initializers = emulated(convert(made.build(), "fp16"), tmp_path).proto.graph.initializer
    assert [tensor.data_type for tensor in initializers] == [TensorProto.FLOAT16]


def test_a_runtime_that_leaves_out_the_rounding_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_without_rounding(threads=1)
    honest = helper.make_node

    def without_casts(operator: str, *rest: Any, **attributes: Any) -> onnx.NodeProto:
        return honest("Identity", *rest) if operator == "Cast" else honest(operator, *rest, **attributes)

    monkeypatch.setattr(helper, "make_node", without_casts)
    with pytest.raises(NotMeasuredError, match="leaves out the rounding"):
        refuse_without_rounding(threads=1)
