"""What the converter does to fixed networks is written down: value, type, reason. A change needs a new revision."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from c10.conversion import convert_network
from c10.conversion.result import HalfPrecision
from c10.corpus.revisions import CONVERTER_REVISION

GOLDEN = Path(__file__).parent.parent / "golden"
#: Networks in ONNX's own text form; each shows rules of the policy.
NETWORKS = {
    "layers": """<ir_version: 8, opset_import: ["": 17]>
        g (float[1,3,8,8] x) => (float[1,4] y)
        <float[4,3,3,3] w, float[4] b, float[4] scale = {1, 1, 1, 1}, int64[2] flat = {1, 144}, float[144,4] v>
        { c = Conv(x, w, b) r = Relu(c) n = BatchNormalization(r, scale, b, b, scale)
          f = Reshape(n, flat) y = MatMul(f, v) }""",
    "normalization": """<ir_version: 8, opset_import: ["": 17]>
        g (float[2,8] x) => (float[2,8] y) <float two = {2}, float eps = {1e-12}, float[8,8] w>
        { m = MatMul(x, w) mu = ReduceMean<axes = [-1]>(m) c = Sub(m, mu) p = Pow(c, two)
          v = ReduceMean<axes = [-1]>(p) e = Add(v, eps) s = Sqrt(e) y = Div(c, s) }""",
    "attention": """<ir_version: 8, opset_import: ["": 17]>
        g (float[1,8,16] q, float[1,16,8] k, int64[1,1,8] mask) => (float[1,8,8] y)
        <float one = {1}, float low = {-3.4e38}>
        { s = MatMul(q, k) f = Cast<to = 1>(mask) i = Sub(one, f) a = Mul(i, low) b = Add(s, a)
          y = Softmax<axis = -1>(b) }""",
    "positions": """<ir_version: 8, opset_import: ["": 17]>
        g (float[1,8] x, int64 count) => (float[1,8] y, int64 half) <float[8] freq, float zero = {0}, float one = {1}>
        { n = Cast<to = 1>(count) r = Range(zero, n, one) t = Mul(r, freq) s = Sin(t) y = Mul(x, s)
          h = Div(n, one) l = Floor(h) half = Cast<to = 7>(l) }""",
    "constants": """<ir_version: 8, opset_import: ["": 17]>
        g (float[1,4] x) => (float[1,4] y, float[1,4] z, float[1,4] u)
        <float large = {70000}, float fits = {65504}, float tiny = {1e-10}, float low = {0}, float high = {3.4e38}>
        { a = Div(x, large) y = Relu(a) b = Mul(x, fits) c = Clip(b, low, high) z = Neg(c)
          d = Add(x, tiny) e = Abs(d) f = Log(e) u = Sigmoid(f) }""",
    "bodies": """<ir_version: 8, opset_import: ["": 17]>
        g (float[2,8] x, int64 n, bool c) => (float[2,8] y) <float[8,8] w>
        { o = MatMul(x, w)
          y = Loop(n, c, o) <body = b (int64 i, bool ci, float[2,8] x) => (bool co, float[2,8] so)
            { m = MatMul(x, w) s = Add(m, o) so = Tanh(s) co = Identity(ci) }> }""",
}


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_a_change_of_the_converter_needs_a_new_revision(tmp_path: Path, precision: HalfPrecision) -> None:
    found = {name: outcome(text, precision, tmp_path) for name, text in NETWORKS.items()}
    path = GOLDEN / f"conversion-{precision}-{CONVERTER_REVISION}.json"
    assert path.is_file(), f"write what this revision does: {json.dumps(found, indent=1)}"
    assert found == json.loads(path.read_text()), (
        f"the converter changed: raise CONVERTER_REVISION in c10/corpus/revisions.py, and write {path.name} of the "
        f"new revision: {json.dumps(found)}"
    )


def outcome(text: str, precision: HalfPrecision, folder: Path) -> dict[str, Any]:
    """Return the type of every value after the conversion, each node, and why what stays fp32 does."""
    source = onnx.parser.parse_model(text)
    for value in source.graph.value_info:  # a constant that the text gives no value
        shape = [d.dim_value for d in value.type.tensor_type.shape.dim]
        source.graph.initializer.append(onnx.numpy_helper.from_array(np.full(shape, 0.5, np.float32), value.name))
    del source.graph.value_info[:]
    onnx.save(source, folder / "source.onnx")
    result = convert_network(folder / "source.onnx", folder / "out.onnx", precision=precision)
    model = onnx.shape_inference.infer_shapes(onnx.load(folder / "out.onnx"), strict_mode=True)
    return {
        "kept": [[kept.node, kept.operator, kept.reason] for kept in result.kept],
        "share": round(result.weight_share, 4),
        "layers": result.computing_layers,
        "graph": graph_lines(model.graph),
    }


def graph_lines(graph: onnx.GraphProto) -> list[str]:
    name = onnx.TensorProto.DataType.Name
    types = {value.name: name(value.type.tensor_type.elem_type) for value in (*graph.input, *graph.value_info)}
    lines = [f"constant {tensor.name}: {name(tensor.data_type)}" for tensor in graph.initializer]
    lines += [f"{kind}: {types[kind]}" for kind in sorted(types)]
    for node in graph.node:
        lines.append(f"{', '.join(node.output)} = {node.op_type}({', '.join(node.input)})")
        for attribute in node.attribute:
            if attribute.HasField("g"):
                lines += [f"    {line}" for line in graph_lines(attribute.g)]
    return lines
