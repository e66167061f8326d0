"""The constants of a flattened model, and which of them 16 bits hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c10.conversion.flatten import overridable
from c10.conversion.model import Model, graphs_of
from c10.conversion.policy import BOUNDS, SMALL_CONSTANT, WHOLE_MAX
from c10.conversion.ranges import TOO_SMALL, misfit
from c10.conversion.result import HalfPrecision

if TYPE_CHECKING:
    import numpy as np
    import onnx


class Constants:
    """The initializers that no application can replace, by name."""

    def __init__(self, model: Model, precision: HalfPrecision) -> None:
        """``precision`` is the one that constants may be given."""
        self._model = model
        self._precision = precision
        self._misfits: dict[tuple[str, bool], str] = {}
        self.tensors: dict[str, onnx.TensorProto] = {}
        for graph in graphs_of(model.proto.graph):
            replaceable = overridable(graph)
            self.tensors |= {tensor.name: tensor for tensor in graph.initializer if tensor.name not in replaceable}

    def misfit(self, node: onnx.NodeProto, index: int) -> str:
        """Say why the constant at an input of a node cannot be of 16 bits; "" if it can, or if it is no constant."""
        from onnx import TensorProto

        tensor = self.tensors.get(node.input[index])
        if tensor is None or tensor.data_type != TensorProto.FLOAT:
            return ""
        bound = index in BOUNDS.get(node.op_type, ())
        key = tensor.name, bound
        if key not in self._misfits:
            self._misfits[key] = misfit(self._model.floats(tensor), self._precision, bound=bound)
        return self._misfits[key]

    def is_tiny(self, name: str) -> bool:
        """Whether a constant has values that 16 bits would lose for being too near to 0."""
        return TOO_SMALL in self._misfits.get((name, False), "") + self._misfits.get((name, True), "")

    def is_offset(self, name: str) -> bool:
        """Whether a small constant is so large that adding it in 16 bits costs whole numbers."""
        values = self.small(name)
        if values is None or values.dtype.kind != "f":
            return False
        return bool((abs(values) >= WHOLE_MAX[self._precision]).any())

    def small(self, name: str) -> np.ndarray[Any, Any] | None:
        """Return the values of a small constant; None for another value."""
        from onnx import numpy_helper

        tensor = self.tensors.get(name)
        if tensor is None or self._model.content(tensor) is not None:
            return None
        values = numpy_helper.to_array(tensor)
        return values if values.size <= SMALL_CONSTANT else None
