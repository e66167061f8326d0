"""The constants of a flattened model, and which of them fit into 16 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c10.conversion.flatten import overridable
from c10.conversion.model import Model, graphs_of
from c10.conversion.policy import BOUND_ATTRIBUTES, BOUNDS, SMALL_CONSTANT, UNTYPED_ATTRIBUTES, WHOLE_MAX
from c10.conversion.ranges import TOO_SMALL, misfit
from c10.conversion.result import HalfPrecision

if TYPE_CHECKING:
    import numpy as np
    import onnx


class Constants:
    """The constants of a flattened model: the initializers that an application cannot override.

    ``tensors``: their tensors by name.
    """

    def __init__(self, model: Model, precision: HalfPrecision) -> None:
        """``precision`` is the type into which the constants are to fit."""
        self._model = model
        self._precision: HalfPrecision = precision
        self._misfits: dict[tuple[str, int], str] = {}
        self.tensors: dict[str, onnx.TensorProto] = {}
        for graph in graphs_of(model.proto.graph):
            replaceable = overridable(graph)
            self.tensors |= {tensor.name: tensor for tensor in graph.initializer if tensor.name not in replaceable}

    def misfit(self, node: onnx.NodeProto, index: int) -> str:
        """Return why the constant at an input of a node does not fit; "" if it fits or is not a constant."""
        from onnx import TensorProto

        tensor = self.tensors.get(node.input[index])
        if tensor is None or tensor.data_type != TensorProto.FLOAT:
            return ""
        bounds = BOUNDS.get(node.op_type, ())
        bound = bounds[index] if index < len(bounds) else 0
        key = tensor.name, bound
        if key not in self._misfits:
            self._misfits[key] = misfit(self._model.floats(tensor), self._precision, bound=bound)
        return self._misfits[key]

    def is_tiny(self, name: str) -> bool:
        """Whether a constant for which ``misfit`` was called has values too near to 0 for 16 bits."""
        return any(TOO_SMALL in self._misfits.get((name, bound), "") for bound in (-1, 0, 1))

    def attribute_misfit(self, node: onnx.NodeProto) -> str:
        """Return why an attribute of a node does not fit; "" if all attributes fit."""
        import numpy as np
        from onnx import AttributeProto

        for attribute in node.attribute:
            if node.op_type == "ConstantOfShape" and attribute.t.data_type == 1:
                found = misfit(self._model.floats(attribute.t), self._precision)
            elif attribute.type == AttributeProto.FLOAT and attribute.name not in UNTYPED_ATTRIBUTES:
                bound = BOUND_ATTRIBUTES.get(attribute.name, 0)
                found = misfit(np.array([attribute.f], np.float32), self._precision, bound=bound)
            elif node.op_type == "Pad" and attribute.name == "value":
                found = misfit(np.array([attribute.f], np.float32), self._precision)
            else:
                continue
            if found:
                return found
        return ""

    def is_offset(self, name: str) -> bool:
        """Whether a constant of few elements is so large that adding it in 16 bits loses integers."""
        values = self.small(name)
        if values is None or values.dtype.kind != "f":
            return False
        return bool((abs(values) >= WHOLE_MAX[self._precision]).any())

    def small(self, name: str) -> np.ndarray[Any, Any] | None:
        """Return the values of a constant of at most SMALL_CONSTANT elements; None for anything else."""
        from onnx import numpy_helper

        tensor = self.tensors.get(name)
        if tensor is None or self._model.content(tensor) is not None:
            return None
        values = numpy_helper.to_array(tensor)
        return values if values.size <= SMALL_CONSTANT else None
