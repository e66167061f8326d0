"""Write an ONNX of random weights, a vision transformer as an exporter writes one. `OUTPUT BLOCKS WIDTH`.

12 blocks of width 768 are a ViT-B, as DINOv2's base model is one: 340 MB of weights.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info

TOKENS, HEAD = 530, 64

output, blocks, width = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
heads = max(1, width // HEAD)
random = np.random.default_rng(1)
nodes: list[onnx.NodeProto] = []
weights: list[onnx.TensorProto] = []


def weight(name: str, values: np.ndarray) -> str:
    """Add an initializer; return its name."""
    weights.append(onnx.numpy_helper.from_array(values, name))
    return name


def add(operator: str, *inputs: str, **attributes: object) -> str:
    """Add a node; return the name of its result."""
    name = f"{operator.lower()}_{len(nodes)}"
    nodes.append(make_node(operator, inputs, [name], name=f"/{name}", **attributes))
    return name


def linear(name: str, value: str, rows: int, columns: int) -> str:
    """Add a matrix product and its bias."""
    matrix = random.standard_normal((rows, columns), np.float32) * np.float32(rows**-0.5)
    product = add("MatMul", value, weight(f"{name}.weight", matrix))
    return add("Add", product, weight(f"{name}.bias", random.standard_normal(columns, np.float32)))


def norm(name: str, value: str) -> str:
    """Add a normalization of the last axis."""
    scale, bias = (random.standard_normal(width, np.float32) for _ in range(2))
    return add("LayerNormalization", value, weight(f"{name}.scale", scale), weight(f"{name}.bias", bias))


def attention(name: str, value: str) -> str:
    """Add self-attention as DINOv2 is exported: query and key are both scaled. 20 nodes."""
    query, key, values = (
        add("Reshape", linear(f"{name}.{part}", value, width, width), "split") for part in ("query", "key", "value")
    )
    query = add("Mul", add("Transpose", query, perm=[0, 2, 1, 3]), "scale")
    key = add("Mul", add("Transpose", key, perm=[0, 2, 3, 1]), "scale")
    scores = add("Softmax", add("MatMul", query, key), axis=-1)
    mixed = add("MatMul", scores, add("Transpose", values, perm=[0, 2, 1, 3]))
    mixed = add("Transpose", mixed, perm=[0, 2, 1, 3])
    return linear(f"{name}.output", add("Reshape", mixed, "joined"), width, width)


def residual(name: str, value: str, change: str) -> str:
    """Add a scaled change to a value."""
    scale = weight(f"{name}.layer_scale", random.standard_normal(width, np.float32))
    return add("Add", value, add("Mul", change, scale))


def block(name: str, value: str) -> str:
    """Add one block of the transformer: 32 nodes."""
    value = residual(f"{name}.1", value, attention(f"{name}.attention", norm(f"{name}.norm1", value)))
    wide = add("Gelu", linear(f"{name}.fc1", norm(f"{name}.norm2", value), width, 4 * width))
    return residual(f"{name}.2", value, linear(f"{name}.fc2", wide, 4 * width, width))


weight("split", np.array([1, TOKENS, heads, width // heads], np.int64))
weight("joined", np.array([1, TOKENS, width], np.int64))
weight("scale", np.array((width / heads) ** -0.25, np.float32))
value = "input"
for index in range(blocks):
    value = block(f"layer.{index}", value)
ends = [make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, TOKENS, width]) for name in ("input", value)]
model = make_model(
    make_graph(nodes, "vit", ends[:1], ends[1:], weights), opset_imports=[make_opsetid("", 20)], ir_version=10
)
onnx.save(onnx.shape_inference.infer_shapes(model), output)
