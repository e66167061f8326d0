"""Small networks that the tests compile for real, made with the onnx package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FEATURES = 8


def matmul_network(
    path: Path,
    *,
    batch: str | int = "batch",
    width: int = FEATURES,
    external_data: str | None = None,
    seed: int = 0,
    elem_type: int = TensorProto.FLOAT,
) -> Path:
    """Two inputs of one batch dimension, (left @ weights) + right; the weights in a file of their own on request."""
    dtype = helper.tensor_dtype_to_np_dtype(elem_type)
    weights = np.random.default_rng(seed).standard_normal((FEATURES, width)).astype(np.float32).astype(dtype)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["left", "weights"], ["product"]),
            helper.make_node("Add", ["product", "right"], ["sum"]),
        ],
        "matmul",
        [
            helper.make_tensor_value_info("left", elem_type, [batch, FEATURES]),
            helper.make_tensor_value_info("right", elem_type, [batch, width]),
        ],
        [helper.make_tensor_value_info("sum", elem_type, [batch, width])],
        [numpy_helper.from_array(weights, "weights")],
    )
    return _save(graph, path, external_data)


def quantized_network(path: Path) -> Path:
    """One input through an int8 quantize/dequantize pair and a product with quantized weights."""
    weights = np.ones((FEATURES, FEATURES), np.int8)
    scalar = [numpy_helper.from_array(np.float32(0.1), "scale"), numpy_helper.from_array(np.int8(0), "zero")]
    graph = helper.make_graph(
        [
            helper.make_node("QuantizeLinear", ["input", "scale", "zero"], ["quantized"]),
            helper.make_node("DequantizeLinear", ["quantized", "scale", "zero"], ["left"]),
            helper.make_node("DequantizeLinear", ["weights", "scale", "zero"], ["right"]),
            helper.make_node("MatMul", ["left", "right"], ["output"]),
        ],
        "quantized",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [4, FEATURES])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [4, FEATURES])],
        [*scalar, numpy_helper.from_array(weights, "weights")],
    )
    return _save(graph, path, None)


def _save(graph: onnx.GraphProto, path: Path, external_data: str | None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save_model(
        model,
        path,
        save_as_external_data=external_data is not None,
        location=external_data or "weights",
        size_threshold=0,
    )
    return path
