"""Write an ONNX of random weights, a stack of residual matrix products as wide as a ViT-B's. `OUTPUT MEGABYTES`."""

import sys

import numpy as np
import onnx
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info

WIDTH, TOKENS = 768, 530

output, megabytes = sys.argv[1], int(sys.argv[2])
random = np.random.default_rng(1)
nodes, weights, value = [], [], "input"
for index in range(max(1, megabytes * 1_000_000 // (WIDTH * WIDTH * 4))):
    matrix = random.standard_normal((WIDTH, WIDTH), np.float32) / WIDTH**0.5
    weights.append(onnx.numpy_helper.from_array(matrix, f"w{index}"))
    nodes.append(make_node("MatMul", [value, f"w{index}"], [f"m{index}"]))
    nodes.append(make_node("Relu", [f"m{index}"], [f"r{index}"]))
    nodes.append(make_node("Add", [f"r{index}", value], [f"v{index}"]))
    value = f"v{index}"
ends = [make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, TOKENS, WIDTH]) for name in ("input", value)]
graph = make_graph(nodes, "synthetic", ends[:1], ends[1:], weights)
onnx.save(make_model(graph, opset_imports=[make_opsetid("", 17)], ir_version=8), output)
