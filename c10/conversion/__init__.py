"""Converts fp32 networks to fp16 and bf16 for strongly typed builders.

A strongly typed TensorRT computes in the types that the network has, so a lower precision needs another ONNX. The
types come from the operators' schemas, so the result is valid ONNX by construction. Values that do not fit into the
lower type stay fp32 (``policy`` is the table). docs/precision.md describes the rules, docs/adr/0011 why c10 has a
converter of its own.

Importing this package imports neither onnx nor numpy; its functions import them when they are called.
"""

from c10.conversion.convert import convert_network
from c10.conversion.result import ConversionResult, KeptNode

__all__ = ["ConversionResult", "KeptNode", "convert_network"]
