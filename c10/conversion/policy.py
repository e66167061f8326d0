"""The table of operators: which stay fp32 and why, and what each does to values that do not fit into 16 bits.

fp16 ends at 65504, represents integers exactly up to 2048, and has no value between 0 and 6e-8; bf16 has the range of
fp32 and represents integers exactly up to 256.

Sources: ONNX's operator documentation (https://onnx.ai/onnx/operators); NVIDIA, "Working with Quantized Types" and
AutoCast's documented policy (nodes to exclude, `init_max`, `data_max`, depth of reduction); W. Kahan, "Lecture Notes on
the Status of IEEE 754" for the formats. tests/conversion repeats what was measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from c10.conversion.result import HalfPrecision

#: The largest finite value of fp16.
FP16_MAX: Final = 65504.0
#: Fraction. A constant that rounding changes by more than this does not fit.
ROUNDING_MAX: Final = 0.01
#: Elements. In a larger constant, single values that round to 0 do little harm, because the others outweigh them.
SMALL_CONSTANT: Final = 16
#: Elements. A sum of at most this many stays within fp16's range and precision: 256 × 255 < 65504.
SHORT_AXIS: Final = 256
#: Factor. A product with a smaller constant is assumed to bring a large value back into range (1/255, 0.044715).
SCALES_DOWN: Final = 1 / 16


@dataclass(frozen=True, slots=True)
class Kept:
    """An operator that stays fp32."""

    reason: str
    """Why, as a clause for the record and docs/precision.md."""
    source: str
    """The document or measurement behind the row."""
    wide: bool = False
    """Whether the result may exceed fp16's range."""
    exact_inputs: tuple[int, ...] = ()
    """Indices of inputs whose rounding changes more than the result's last digit; the nodes that compute them stay fp32
    as well."""


_AUTOCAST: Final = "NVIDIA Model Optimizer, AutoCast: data_max, depth of reduction"
_ONNX: Final = "ONNX operator documentation"
_POWER: Final = "powers and exponentials soon exceed the range of 16 bits: 256 squared is 65536"
_AXIS: Final = "sums and products over an axis exceed the range and the precision of 16 bits"
_NORM: Final = "the statistics of a normalization are sums of squares, which exceed the range of 16 bits"
_ANGLE: Final = "the full turns in an angle use up the precision of 16 bits"
_POSITION: Final = "coordinates lose their fraction: fp16 has 11 significant bits, and whole pixels need about 10"
_WHOLE: Final = "integers above 2048 (bf16: 256) are not exact in 16 bits"
_SIZES: Final = "the size of the result is computed from the scales"

KEPT: Final[dict[str, Kept]] = {
    "Pow": Kept(_POWER, _AUTOCAST, wide=True),
    "Exp": Kept(_POWER, _AUTOCAST, wide=True),
    "ReduceSumSquare": Kept(_AXIS, _AUTOCAST, wide=True),
    "ReduceL2": Kept(_AXIS, _AUTOCAST, wide=True),
    "ReduceProd": Kept(_AXIS, _AUTOCAST, wide=True),
    "CumSum": Kept(_AXIS, _AUTOCAST, wide=True),
    "CumProd": Kept(_AXIS, _AUTOCAST, wide=True),
    "Det": Kept(_AXIS, _AUTOCAST, wide=True),
    "DFT": Kept(_AXIS, _AUTOCAST, wide=True),
    "STFT": Kept(_AXIS, _AUTOCAST, wide=True),
    "GroupNormalization": Kept(_NORM, _ONNX),
    "InstanceNormalization": Kept(_NORM, _ONNX),
    "LayerNormalization": Kept(_NORM, _ONNX),
    "RMSNormalization": Kept(_NORM, _ONNX),
    "MeanVarianceNormalization": Kept(_NORM, _ONNX),
    "LpNormalization": Kept(_NORM, _ONNX),
    "LRN": Kept(_NORM, _ONNX),
    "Sin": Kept(_ANGLE, _ONNX, exact_inputs=(0,)),
    "Cos": Kept(_ANGLE, _ONNX, exact_inputs=(0,)),
    "Tan": Kept(_ANGLE, _ONNX, exact_inputs=(0,)),
    "Mod": Kept("a remainder needs every digit of the dividend", _ONNX, exact_inputs=(0, 1)),
    "GridSample": Kept(_POSITION, _ONNX, exact_inputs=(1,)),
    "AffineGrid": Kept(_POSITION, _ONNX, exact_inputs=(0,)),
    "RoiAlign": Kept(_POSITION, _ONNX, exact_inputs=(1,)),
    "QuantizeLinear": Kept("its result is an integer", _ONNX, exact_inputs=(0, 1)),
    "Celu": Kept("TensorRT's parser divides it by an fp32 constant", "TensorRT-RTX 1.7, measured"),
    "TensorScatter": Kept("TensorRT requires its cache to be an input of the network", "TensorRT-RTX 1.7, measured"),
    "Range": Kept(_WHOLE, _ONNX, wide=True, exact_inputs=(0, 1, 2)),
    "OneHot": Kept(_WHOLE, _ONNX, exact_inputs=(0, 1)),
    "Resize": Kept(_SIZES, _ONNX, exact_inputs=(1, 2)),
    "Upsample": Kept(_SIZES, _ONNX, exact_inputs=(1,)),
    "LinearAttention": Kept("its type inference contradicts its schema (onnx 1.23)", "onnx.defs, measured"),
}
#: Operators that stay fp32 if an attribute is not 0, or if an input is given: its name or index, and the reason.
KEPT_WITH_ATTRIBUTE: Final = {"BatchNormalization": ("training_mode", _NORM)}
KEPT_WITH_INPUT: Final[dict[str, tuple[int, str]]] = dict.fromkeys(
    ("GRU", "LSTM", "RNN"), (4, "TensorRT's parser mixes types if sequences have lengths")
)
#: Operators that TensorRT builds in fp16 and not in bf16. Source: TensorRT-RTX 1.7, measured.
KEPT_IN_BF16: Final = dict.fromkeys(
    ("ConvTranspose", "GRU", "GlobalLpPool", "HardSwish", "LpPool", "Mish"), "TensorRT does not build it in bf16"
)
#: Rows of KEPT whose exact inputs stay fp32 while the node itself is converted.
ONLY_INPUTS: Final = frozenset({"Resize", "Upsample", "OneHot"})

#: The attribute that sets the type in which a normalization computes its statistics. If an operator has it and its
#: value is fp32, which is the default, the row of KEPT does not apply, because TensorRT honours the attribute.
STASH_TYPE: Final = "stash_type"
#: Rows of KEPT whose results are counts or grow as counts do; those of the others are powers of unknown values.
COUNTING: Final = frozenset({"CumSum", "Range"})
#: Operators that compare two values: if one of them does not fit into 16 bits, both are compared in fp32.
COMPARISONS: Final = frozenset({"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"})
#: The largest integer up to which all integers are exact.
WHOLE_MAX: Final[dict[HalfPrecision, int]] = {"fp16": 2048, "bf16": 256}

#: Sums over an axis; they stay fp32 if the axis is long or of unknown length.
SUMS: Final = frozenset({"ReduceSum", "ReduceMean", "ReduceL1", "ReduceLogSum", "ReduceLogSumExp"})
#: The sums among them whose result grows with the axis; a mean or a logarithm does not.
GROWING_SUMS: Final = frozenset({"ReduceSum", "ReduceL1"})

#: Operators that pass values on unchanged, as a whole or in parts.
LAYOUT: Final = frozenset({
    "Compress", "Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Identity",
    "Pad", "Reshape", "ReverseSequence", "ScatterElements", "ScatterND", "Slice", "SpaceToDepth", "Split", "Squeeze",
    "Tile", "Transpose", "Trilu", "Unsqueeze", "Where", "CenterCropPad",
})  # fmt: skip
#: Operators whose result has the magnitudes of their first input: a product of result and input is a square.
SAME_MAGNITUDE: Final = frozenset({"Abs", "Cast", "Flatten", "Identity", "Neg", "Reshape", "Squeeze", "Unsqueeze"})
#: Arithmetic, elementwise and along axes, whose result is as exact as its inputs.
EXACT_FROM_EXACT: Final = LAYOUT | frozenset({
    "Abs", "Add", "Cast", "Ceil", "Clip", "Div", "Floor", "Max", "Mean", "Min", "Mod", "Mul", "Neg", "Pow", "Range",
    "Reciprocal", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSum", "Round", "Sqrt", "Sub", "Sum", "Exp", "Log",
    "CumSum", "Sign", "Relu",
})  # fmt: skip
#: Operators whose result is about as large as their largest input. The results of all others are assumed to fit into
#: fp16 (a quotient, a root, a logarithm, a saturating function, a normalization, a layer with learned weights).
AS_LARGE: Final = LAYOUT | frozenset({
    "Abs", "Add", "AveragePool", "Cast", "Ceil", "Clip", "CumSum", "Elu", "Exp", "Floor", "GlobalAveragePool",
    "GlobalMaxPool", "LeakyRelu", "Max", "MaxPool", "Mean", "Min", "Mul", "Neg", "PRelu", "Pow", "ReduceL1", "ReduceL2",
    "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare", "Relu", "Resize", "Round",
    "Sub", "Sum", "TopK", "Upsample",
})  # fmt: skip
#: Operators whose result is tiny only if an input is tiny. Those of MAKES_TINY make tiny values from others.
TINY_FROM_TINY: Final = LAYOUT | frozenset({
    "Abs", "Add", "Clip", "Max", "Mean", "Min", "Neg", "ReduceMean", "ReduceSum", "Relu", "Sqrt", "Sum",
})  # fmt: skip
MAKES_TINY: Final = frozenset({"Div", "Exp", "Mul", "Pow", "ReduceL2", "ReduceSumSquare", "Sigmoid", "Softmax"})

#: Operators that accept any type at their first input and do not compute with it: they get the type that is there.
BLIND: Final = frozenset({"Cast", "CastLike", "IsInf", "IsNaN", "Shape", "Size"})
#: Bounds that may round to infinity, since no 16-bit value lies beyond them. For each input of an operator, and for
#: attributes: 1 for an upper bound, -1 for a lower bound, 0 for neither.
BOUNDS: Final[dict[str, tuple[int, ...]]] = {"Clip": (0, -1, 1), "Max": (-1,) * 8, "Min": (1,) * 8}
BOUND_ATTRIBUTES: Final = {"max": 1, "min": -1}
#: Attributes that stay fp32 in any case, or that do not enter a value.
UNTYPED_ATTRIBUTES: Final = frozenset({"epsilon", "momentum", "ratio", "value"})
