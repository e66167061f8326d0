"""fp32 → fp16 and bf16: the ONNX that a strongly typed builder is given.

A strongly typed TensorRT computes in the types that the network has, so there another precision means another ONNX.
What is converted is valid by construction: types come from the operators' schemas, and what a type cannot hold stays
fp32 (``policy`` is the table). docs/precision.md describes the rules, docs/adr/0011 why c10 has a converter of its own.

Importing this package imports neither onnx nor numpy; the functions do when they are called.
"""

from c10.conversion.convert import convert_network
from c10.conversion.result import ConversionResult, KeptNode

__all__ = ["ConversionResult", "KeptNode", "convert_network"]
