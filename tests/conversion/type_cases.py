"""Networks with other types than floats, in all forms of a constant, of old and new opsets, and well dressed."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .case import Case, W, X, case, floats, network, normal

_ROWS = normal(5, 2, 8, seed=2)
#: Opsets: where axes became inputs, and where initializers stopped being inputs (with IR 4).
_AXES_ARE_INPUTS, _IR_4 = 13, 9


def _two(name: str, body: str, **options: Any) -> Case:
    """Make a case of a network from 2 × 8 to 2 × 8 values."""
    text = f"g (float[2,8] x) => (float[2,8] y) {{{body}}}"
    return case(f"structure/{name}", text, options.pop("feeds", {"x": X}), **options)


TYPES = (
    _two(
        "Constant in each form",
        """f = Constant <value_float = 0.5> () fs = Constant <value_floats = [1.0,2.0,3.0,4.0,5.0,6.0,7.0,8.0]> ()
            i = Constant <value_ints = [2, 8]> () k = Constant <value_int = 1> () a = MatMul (x, w)
            b = Mul (a, f) c = Add (b, fs) r = Reshape (c, i) kf = Cast <to = 1> (k) y = Add (r, kf)""",
        w=W,
        half=("MatMul", "Mul"),
    ),
    _two(
        "Gather of what was computed",
        "a = MatMul (x, w) y = Gather <axis = 1> (a, i)",
        w=W,
        i=np.arange(8),
        half=("MatMul", "Gather"),
    ),
    _two(
        "a constant out of range in each form",
        """f = Constant <value_float = 1e6> () fs = Constant <value_floats = [1e-9]> () a = MatMul (x, w)
            b = Mul (a, f) c = Mul (b, fs) d = Mul (c, k) y = MatMul (d, w)""",
        w=W,
        k=1000.0,
    ),
    _two(
        "double inside",
        "d = Cast <to = 11> (x) e = Mul (d, k) f = Cast <to = 1> (e) y = MatMul (f, w)",
        k=np.float64(1e-3),
        w=W,
        half=("MatMul",),
    ),
    _two("CastLike", "a = MatMul (x, w) k = CastLike (i, a) y = Mul (a, k)", i=3, w=W, half=("MatMul",)),
    case(
        "structure/nothing of floats",
        "g (int64[2,8] x, bool[2,8] m) => (int64[2,8] y) {a = Add (x, x) y = Where (m, a, x)}",
        {"x": np.arange(16).reshape(2, 8), "m": np.arange(16).reshape(2, 8) % 2 == 0},
        converted=False,
    ),
    case(
        "structure/strings beside floats",
        """g (float[2,8] x, string[2] s) => (float[2,8] y, string[2] t) {y = MatMul (x, w) t = Identity (s)}""",
        {"x": X, "s": np.array(["a", "b"], object)},
        w=W,
        half=("MatMul",),
    ),
    case(
        "structure/LSTM",
        """g (float[5,2,8] x) => (float[5,1,2,4] y, float[1,2,4] h, float[1,2,4] c) { y, h,
            c = LSTM <hidden_size = 4> (x, w, r, b)}""",
        {"x": _ROWS},
        w=normal(1, 16, 8, scale=0.2),
        r=normal(1, 16, 4, scale=0.2),
        b=normal(1, 32, scale=0.2),
        half=("LSTM",),
    ),
    case(
        "structure/LSTM over sequences that have lengths",
        """g (float[5,2,8] x, int32[2] n) => (float[5,1,2,4] y, float[1,2,4] h, float[1,2,4] c) { y, h,
            c = LSTM <hidden_size = 4> (x, w, r, b, n)}""",
        {"x": _ROWS, "n": np.array([5, 5], np.int32)},
        w=normal(1, 16, 8, scale=0.2),
        r=normal(1, 16, 4, scale=0.2),
        b=normal(1, 32, scale=0.2),
        full=("LSTM",),
    ),
    case(
        "structure/GRU, both ways, with a state",
        """g (float[5,2,8] x, float[2,2,4] s) => (float[5,2,2,4] y) {
            y = GRU <hidden_size = 4, direction = "bidirectional", linear_before_reset = 1> (x, w, r, b, , s)}""",
        {"x": _ROWS, "s": normal(2, 2, 4)},
        w=normal(2, 12, 8, scale=0.2),
        r=normal(2, 12, 4, scale=0.2),
        b=normal(2, 24, scale=0.2),
    ),
    case(
        "structure/outputs of other types",
        """g (float[1,1,8,8] x) => (float[1,1,4,4] y, int64[1,1,4,4] i, bool[1,1,8,8] m) { a, m = Dropout (x)
            b = Mul (a, k) y, i = MaxPool <kernel_shape = [2,2], strides = [2,2]> (b)}""",
        {"x": np.random.default_rng(0).permutation(64).astype(np.float32).reshape(1, 1, 8, 8)},
        k=0.5,
    ),
    case(
        "structure/LayerNormalization's statistics",
        """g (float[2,8] x) => (float[2,8] y, float[2,1] m, float[2,1] s) { a = MatMul (x, w) y, m,
            s = LayerNormalization (a, k)}""",
        {"x": X},
        w=W,
        k=np.ones(8, np.float32),
        half=("MatMul",),
    ),
    case(
        "structure/BatchNormalization in training",
        """g (float[4,2,8] x) => (float[4,2,8] y, float[2] m, float[2] v) { y, m,
            v = BatchNormalization <training_mode = 1> (x, s, b, b, s)}""",
        {"x": normal(4, 2, 8)},
        s=np.ones(2, np.float32),
        b=np.zeros(2, np.float32),
        onnxruntime=False,
    ),
    case(
        "structure/sequences",
        """g (float[2,8] x) => (float[2,8] y) { s = SplitToSequence <axis = 0> (x, one) a = SequenceAt (s, z)
            b = MatMul (a, w) t = SequenceInsert (s, b) n = SequenceErase (t, z)
            y = ConcatFromSequence <axis = 0> (n)}""",
        {"x": X},
        one=1,
        z=0,
        w=W,
        half=("MatMul",),
    ),
    case(
        "structure/a sequence grown in a Loop",
        """g (float[2,8] x) => (float[6,8] y) { e = SequenceEmpty ()
            s = Loop (n, yes, e) <body: graph = b (int64 i, bool ci, seq(float[2,8]) si) => (bool co,
                seq(float[2,8]) so) {m = MatMul (x, w)
            so = SequenceInsert (si, m) co = Identity (ci)}> y = ConcatFromSequence <axis = 0> (s)}""",
        {"x": X},
        n=3,
        yes=True,
        w=W,
        half=("MatMul",),
    ),
    case(
        "structure/Optional",
        """g (float[2,8] x) => (float[2,8] y) { a = MatMul (x, w) o = Optional (a) h = OptionalHasElement (o)
            e = OptionalGetElement (o) r = Relu (e)
            y = If (h) <then_branch: graph = t () => (float[2,8] o1) {o1 = Identity (r)},
            else_branch: graph = f () => (float[2,8] o2) {o2 = Identity (x)}>}""",
        {"x": X},
        opset=15,
        w=W,
        half=("MatMul",),
        reference=False,
    ),
    case(
        "structure/Upsample-9",
        """g (float[1,1,4,4] x) => (float[1,1,8,12] y) { c = Conv <pads = [1,1,1,1]> (x, w)
            y = Upsample <mode = "nearest"> (c, s)}""",
        {"x": normal(1, 1, 4, 4)},
        opset=9,
        ir=4,
        s=floats([1, 1, 2, 3]),
        w=normal(1, 1, 3, 3),
        half=("Conv",),
    ),
    case(
        "structure/Upsample-7",
        """g (float[1,1,4,4] x) => (float[1,1,8,12] y) { c = Conv <pads = [1,1,1,1]> (x, w)
            y = Upsample <mode = "nearest", scales = [1.0, 1.0, 2.0, 3.0]> (c)}""",
        {"x": normal(1, 1, 4, 4)},
        opset=8,
        ir=4,
        w=normal(1, 1, 3, 3),
        half=("Conv",),
        reference=False,
    ),
    case(
        "structure/empty and scalar tensors",
        """g (float[0,8] x, float s) => (float[0,8] y, float t) {a = MatMul (x, w) y = Mul (a, s) t = Add (s, s)}""",
        {"x": np.zeros((0, 8), np.float32), "s": np.array(1.5, np.float32)},
        w=W,
        half=("MatMul",),
    ),
)


def _opset(version: int) -> onnx.ModelProto:
    """Make a network of operators that every opset from 5 to 22 has, in the form that this one gives them."""
    constants = {"v": normal(2, 1, 3, 3), "w": normal(16, 8, scale=0.3), "shape": np.array([1, 8])}
    if version >= _AXES_ARE_INPUTS:
        constants |= {"ends": np.array([2, 3]), "last": np.array([3])}
    graph = helper.make_graph(
        _nodes(version),
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    if old := version < _IR_4:
        graph.input.extend(
            helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims) for tensor in graph.initializer
        )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=3 if old else 8)


def _nodes(version: int) -> list[onnx.NodeProto]:
    node = helper.make_node
    if version < _AXES_ARE_INPUTS:
        ends = [node("Unsqueeze", ["m"], ["u"], axes=[2, 3]), node("Squeeze", ["u"], ["q"], axes=[3])]
    else:
        ends = [node("Unsqueeze", ["m", "ends"], ["u"]), node("Squeeze", ["u", "last"], ["q"])]
    return [
        node("Conv", ["x", "v"], ["c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Relu", ["c"], ["r"]),
        node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Concat", ["p", "p"], ["k"], axis=1),
        node("Flatten", ["k"], ["f"]),
        node("MatMul", ["f", "w"], ["m"]),
        *ends,
        node("Transpose", ["q"], ["t"], perm=[0, 2, 1]),
        node("Reshape", ["t", "shape"], ["s"]),
        node("Softmax", ["s"], ["y"], axis=1),
    ]


OPSETS = tuple(
    Case(
        f"opsets/{version}",
        lambda version=version: _opset(version),  # type: ignore[misc]
        ({"x": normal(1, 1, 4, 4)},),
        half=("Conv", "MatMul"),
        onnxruntime=version >= 7,
    )
    for version in range(5, 23)
)


def _dressed() -> onnx.ModelProto:
    """Make a network with all that a model can carry beside its computation."""
    model = network("g (float[N,8] x) => (float[N,8] y) {[first] a = MatMul (x, w) y = Relu (a)}", w=W)
    model.producer_name, model.doc_string, model.graph.doc_string = "me", "a model", "a graph"
    model.metadata_props.add(key="stride", value="32")
    model.graph.node[0].doc_string = "a node"
    model.graph.quantization_annotation.add(tensor_name="a").quant_parameter_tensor_names.add(
        key="SCALE_TENSOR", value="w"
    )
    return model


def _long_name() -> onnx.ModelProto:
    """Make a network that imports ONNX's own domain by its long name, as the checker and ONNX Runtime accept it."""
    model = network("g (float[2,8] x) => (float[2,8] y) {a = MatMul (x, w) y = Relu (a)}", w=W)
    model.opset_import[0].domain = "ai.onnx"
    onnx.checker.check_model(model, full_check=True)
    return model


def _sparse() -> onnx.ModelProto:
    """Make a network with a sparse initializer."""
    model = network("g (float[2,8] x) => (float[2,8] y) {a = MatMul (x, w) y = Add (a, s)}", w=W, s=W[0])
    dense = model.graph.initializer.pop()
    values = numpy_helper.from_array(numpy_helper.to_array(dense)[[1, 5]], "s")
    model.graph.sparse_initializer.add(values=values, indices=numpy_helper.from_array(np.array([1, 5]), "at"), dims=[8])
    return model


BUILT = (
    Case("structure/metadata and annotations", _dressed, ({"x": X}, {"x": normal(3, 8)}), half=("MatMul", "Relu")),
    Case("structure/the domain's long name", _long_name, ({"x": X},), half=("MatMul", "Relu"), reference=False),
    Case("structure/a sparse initializer", _sparse, ({"x": X},), half=("MatMul",), reference=False),
)

TYPE_CASES = (*TYPES, *OPSETS, *BUILT)
