"""The shortest script that does what a conversion does: load, round the weights, save, check. `ONNX OUTPUT`.

It rounds all weights and gives every fp32 value the new type: right for a network in which nothing has to stay fp32.
"""

import sys

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

model = onnx.load(sys.argv[1])
for tensor in model.graph.initializer:
    if tensor.data_type == TensorProto.FLOAT:
        half = numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(half, tensor.name))
for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
    if value.type.tensor_type.elem_type == TensorProto.FLOAT:
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
onnx.save(model, sys.argv[2])
onnx.checker.check_model(sys.argv[2], full_check=True)
