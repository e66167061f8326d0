"""Precision where the network's own types decide it: the ONNX is converted. Runs in the child.

May import errors and spec; imports onnx and the converter (onnxconverter-common, Microsoft's), lazily.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from c10.errors import EngineBuildError
from c10.spec import Precision


def needs_conversion(onnx_path: Path, precision: Precision) -> bool:
    """Whether the ONNX has to be converted to be of ``precision``; one exported so already is taken as it is."""
    if precision not in {"fp16", "bf16"}:
        return False
    import onnx

    model = _load(onnx_path, external_data=False)
    wanted = {"fp16": onnx.TensorProto.FLOAT16, "bf16": onnx.TensorProto.BFLOAT16}[precision]
    return all(tensor.data_type != wanted for tensor in model.graph.initializer)


def convert(onnx_path: Path, precision: Precision) -> bytes:
    """Return the model in ``precision``, serialized; its inputs and outputs keep their types.

    Raises EngineBuildError where the converter cannot.
    """
    if precision == "bf16":
        raise EngineBuildError(
            f"{onnx_path}: precision bf16: expected a model exported in bf16, got one in fp32",
            remedy="Export the model in bf16, or use fp16: no maintained converter makes bf16 without PyTorch.",
        )
    try:
        from onnxconverter_common.float16 import convert_float_to_float16
    except ImportError as error:
        raise EngineBuildError(
            "precision fp16: expected the package onnxconverter-common, found none",
            remedy="pip install onnxconverter-common, or use precision fp32.",
        ) from error
    model = _load(onnx_path, external_data=True)
    try:
        converted = convert_float_to_float16(model, keep_io_types=True)
        return bytes(converted.SerializeToString())
    except Exception as error:
        raise EngineBuildError(
            f"{onnx_path}: precision fp16: expected a model that can be converted, got {type(error).__name__}: {error}",
            remedy="Export the model in fp16, or use precision fp32.",
        ) from error


def _load(onnx_path: Path, *, external_data: bool) -> Any:
    import onnx

    try:
        return onnx.load(onnx_path, load_external_data=external_data)
    except Exception as error:  # protobuf's own errors share no base with OSError
        raise EngineBuildError(f"{onnx_path}: parse: expected an ONNX model, got {error}") from error
