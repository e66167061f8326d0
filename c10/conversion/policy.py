"""Which operators stay fp32, what each does to a value that the type cannot hold, and why: the one table.

fp16 holds whole numbers exactly up to 2048 and anything up to 65504, and loses what is below 6e-8; bf16 has the range
of fp32 and holds whole numbers exactly up to 256.

Sources: ONNX's operator documentation (https://onnx.ai/onnx/operators); NVIDIA, "Working with Quantized Types" and
AutoCast's documented policy (nodes to exclude, `init_max`, `data_max`, depth of reduction); W. Kahan, "Lecture Notes on
the Status of IEEE 754" for what a format holds. Where a row has a measurement, tests/conversion repeats it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from c10.conversion.result import HalfPrecision

#: The largest finite value of fp16.
FP16_MAX: Final = 65504.0
#: A constant that rounding changes by more than this part of itself is not held.
ROUNDING_MAX: Final = 0.01
#: Elements. In a larger constant single values that round to 0 do no harm: their neighbours outweigh them.
SMALL_CONSTANT: Final = 16
#: Elements. A sum over no more than this many stays within fp16's range and precision: 256 × 255 < 65504.
SHORT_AXIS: Final = 256
#: Factor. A product with a constant below it is taken to bring a large value back into range (1/255, 0.044715).
SCALES_DOWN: Final = 1 / 16


@dataclass(frozen=True, slots=True)
class Kept:
    """An operator that stays fp32.

    ``reason``: why, as a sentence. ``source``: what says so. ``wide``: its result may be beyond fp16's range.
    ``exact_inputs``: the inputs whose rounding changes more than the last digit of the result; what computes them stays
    fp32 too.
    """

    reason: str
    source: str
    wide: bool = False
    exact_inputs: tuple[int, ...] = ()


_AUTOCAST: Final = "NVIDIA Model Optimizer, AutoCast: data_max, depth of reduction"
_ONNX: Final = "ONNX operator documentation"
_POWER: Final = "powers and exponentials soon leave the range of 16 bits: 256 squared is 65536"
_AXIS: Final = "sums and products over an axis leave the range and the digits of 16 bits"
_NORM: Final = "the statistics of a normalization are sums of squares, which leave the range of 16 bits"
_ANGLE: Final = "the whole turns of an angle use up the digits of 16 bits"
_POSITION: Final = "a coordinate's fraction is lost first: fp16 has 11 bits, a picture has 10 of whole pixels"
_WHOLE: Final = "whole numbers beyond 2048 (bf16: 256) are not exact in 16 bits"
_SIZES: Final = "the sizes of the result follow from the scales"

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
    "Mod": Kept("a remainder needs every digit of what is divided", _ONNX, exact_inputs=(0, 1)),
    "GridSample": Kept(_POSITION, _ONNX, exact_inputs=(1,)),
    "AffineGrid": Kept(_POSITION, _ONNX, exact_inputs=(0,)),
    "RoiAlign": Kept(_POSITION, _ONNX, exact_inputs=(1,)),
    "QuantizeLinear": Kept("its result is an integer", _ONNX, exact_inputs=(0, 1)),
    "Celu": Kept("TensorRT's parser divides it by a constant of fp32", "TensorRT-RTX 1.7, measured"),
    "TensorScatter": Kept("TensorRT has its cache be an input of the network", "TensorRT-RTX 1.7, measured"),
    "Range": Kept(_WHOLE, _ONNX, wide=True, exact_inputs=(0, 1, 2)),
    "OneHot": Kept(_WHOLE, _ONNX, exact_inputs=(0, 1)),
    "Resize": Kept(_SIZES, _ONNX, exact_inputs=(1, 2)),
    "Upsample": Kept(_SIZES, _ONNX, exact_inputs=(1,)),
    "LinearAttention": Kept("its type inference contradicts its schema (onnx 1.23)", "onnx.defs, measured"),
}
#: Operators that stay fp32 if this attribute is not 0, or if this input is given, and why.
KEPT_WITH_ATTRIBUTE: Final = {"BatchNormalization": ("training_mode", _NORM)}
KEPT_WITH_INPUT: Final[dict[str, tuple[int, str]]] = dict.fromkeys(
    ("GRU", "LSTM", "RNN"), (4, "TensorRT's parser mixes the types where sequences have lengths")
)
#: Operators that TensorRT builds in fp16 and not in bf16. Source: TensorRT-RTX 1.7, measured.
KEPT_IN_BF16: Final = dict.fromkeys(
    ("ConvTranspose", "GRU", "GlobalLpPool", "HardSwish", "LpPool", "Mish"), "TensorRT does not build it in bf16"
)
#: Rows of KEPT that keep their exact inputs in fp32 and let the rest of the node be converted.
ONLY_INPUTS: Final = frozenset({"Resize", "Upsample", "OneHot"})

#: The attribute by which a normalization says in which type its statistics are computed. Where the operator has it, and
#: it says fp32 as it does by default, the row of KEPT does not count: TensorRT does what it says.
STASH_TYPE: Final = "stash_type"
#: Rows of KEPT whose results are numbers of things, or grow as those do; the others are powers of unknown values.
COUNTING: Final = frozenset({"CumSum", "Range"})
#: Operators that compare two values: one that 16 bits do not hold has to meet the other in fp32.
COMPARISONS: Final = frozenset({"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"})
#: The largest whole number below which every one is exact.
WHOLE_MAX: Final[dict[HalfPrecision, int]] = {"fp16": 2048, "bf16": 256}

#: Sums over an axis: fp32 if the axis is long or of unknown length.
SUMS: Final = frozenset({"ReduceSum", "ReduceMean", "ReduceL1", "ReduceLogSum", "ReduceLogSumExp"})
#: The sums among them whose result grows with the axis; a mean or a logarithm does not.
GROWING_SUMS: Final = frozenset({"ReduceSum", "ReduceL1"})

#: Operators that hand values on as they are, whole or in parts.
LAYOUT: Final = frozenset({
    "Compress", "Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Identity",
    "Pad", "Reshape", "ReverseSequence", "ScatterElements", "ScatterND", "Slice", "SpaceToDepth", "Split", "Squeeze",
    "Tile", "Transpose", "Trilu", "Unsqueeze", "Where", "CenterCropPad",
})  # fmt: skip
#: Operators whose result has the magnitudes of their first input: a product of it and the input is a square.
SAME_MAGNITUDE: Final = frozenset({"Abs", "Cast", "Flatten", "Identity", "Neg", "Reshape", "Squeeze", "Unsqueeze"})
#: Arithmetic element by element, and along axes: its result is as exact as what it takes.
EXACT_FROM_EXACT: Final = LAYOUT | frozenset({
    "Abs", "Add", "Cast", "Ceil", "Clip", "Div", "Floor", "Max", "Mean", "Min", "Mod", "Mul", "Neg", "Pow", "Range",
    "Reciprocal", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSum", "Round", "Sqrt", "Sub", "Sum", "Exp", "Log",
    "CumSum", "Sign", "Relu",
})  # fmt: skip
#: Operators whose result is about as large as their largest input; every other one is taken to give what fp16 holds
#: (a quotient, a root, a logarithm, a saturating function, a normalization, a layer with learned weights).
AS_LARGE: Final = LAYOUT | frozenset({
    "Abs", "Add", "AveragePool", "Cast", "Ceil", "Clip", "CumSum", "Elu", "Exp", "Floor", "GlobalAveragePool",
    "GlobalMaxPool", "LeakyRelu", "Max", "MaxPool", "Mean", "Min", "Mul", "Neg", "PRelu", "Pow", "ReduceL1", "ReduceL2",
    "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare", "Relu", "Resize", "Round",
    "Sub", "Sum", "TopK", "Upsample",
})  # fmt: skip
#: Operators whose result is tiny only if what they take is tiny. A product or a power makes tiny values of others.
TINY_FROM_TINY: Final = LAYOUT | frozenset({
    "Abs", "Add", "Clip", "Max", "Mean", "Min", "Neg", "ReduceMean", "ReduceSum", "Relu", "Sqrt", "Sum",
})  # fmt: skip
MAKES_TINY: Final = frozenset({"Div", "Exp", "Mul", "Pow", "ReduceL2", "ReduceSumSquare", "Sigmoid", "Softmax"})

#: Operators that take a value of any type at their first input and compute nothing with it: they take it as it comes.
BLIND: Final = frozenset({"Cast", "CastLike", "IsInf", "IsNaN", "Shape", "Size"})
#: Bounds that may round to infinity, since no value of 16 bits lies beyond them: their side (1: above, -1: below) for
#: each input of an operator, and for attributes.
BOUNDS: Final[dict[str, tuple[int, ...]]] = {"Clip": (0, -1, 1), "Max": (-1,) * 8, "Min": (1,) * 8}
BOUND_ATTRIBUTES: Final = {"max": 1, "min": -1}
#: Attributes that stay fp32 whatever the values are, or are no part of a value.
UNTYPED_ATTRIBUTES: Final = frozenset({"epsilon", "momentum", "ratio", "value"})
