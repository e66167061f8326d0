"""The type of every value of a flattened model, and which values of a node share a type.

Types come from ONNX's type inference. Which values share a type comes from the operator's schema
(https://onnx.ai/onnx/operators): values with the same type variable have the same type.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from c10.conversion.model import graphs_of

if TYPE_CHECKING:
    import onnx

#: The type of a value that is not a plain tensor (a sequence, an optional, a sparse tensor) or whose type is unknown.
NOT_PLAIN: Final = -1
#: Element type (TensorProto.DataType) of each value, by name.
Types = dict[str, int]
#: Dimensions of each value, by name; None for one known only at run time. Values of unknown rank are absent.
Shapes = dict[str, tuple[int | None, ...]]


@dataclass(frozen=True, slots=True)
class Formal:
    """One formal input or output of an operator's schema."""

    variable: str
    """Its type variable; "" if its type is fixed, or if its values may differ in type."""
    variadic: bool
    """Whether it takes any number of values."""


@dataclass(frozen=True, slots=True)
class Signature:
    """An operator's schema."""

    inputs: tuple[Formal, ...]
    """The formal inputs, in order."""
    outputs: tuple[Formal, ...]
    """The formal outputs, in order."""
    admitted: dict[str, frozenset[str]]
    """For each type variable the types that it admits, such as ``tensor(float16)``."""
    attributes: frozenset[str]
    """The names of the attributes."""

    def input_variable(self, index: int) -> str:
        """Return the type variable of the actual input at an index; "" if it has none."""
        return _variable(self.inputs, index)

    def output_variable(self, index: int) -> str:
        """Return the type variable of the actual output at an index; "" if it has none."""
        return _variable(self.outputs, index)


def opsets_of(proto: onnx.ModelProto) -> dict[str, int]:
    """Return the version of each operator set that a model imports, by domain; "" is ONNX's own domain."""
    return {("" if opset.domain == "ai.onnx" else opset.domain): opset.version for opset in proto.opset_import}


def signature_of(node: onnx.NodeProto, opsets: dict[str, int]) -> Signature | None:
    """Return the schema of a node's operator; None if onnx does not know it."""
    domain = "" if node.domain == "ai.onnx" else node.domain
    return _signature(node.op_type, opsets.get(domain, 1), domain)


def infer(proto: onnx.ModelProto) -> tuple[Types, Shapes]:
    """Return type and shape of every value of a flattened model.

    If inference does not know the type of a value, it follows from the schema of the value's node; otherwise it is
    NOT_PLAIN.
    """
    types: Types = {}
    shapes: Shapes = {}
    for graph in graphs_of(_inferred(proto).graph):
        for value in (*graph.value_info, *graph.input, *graph.output):
            types.setdefault(value.name, _element_type(value.type))
            if value.type.tensor_type.HasField("shape"):
                shapes[value.name] = tuple(
                    d.dim_value if d.HasField("dim_value") else None for d in value.type.tensor_type.shape.dim
                )
        for tensor in graph.initializer:
            types[tensor.name], shapes[tensor.name] = tensor.data_type, tuple(tensor.dims)
        types |= {sparse.values.name: NOT_PLAIN for sparse in graph.sparse_initializer}
    opsets = opsets_of(proto)
    for graph in graphs_of(proto.graph):
        for node in graph.node:
            _complete(node, opsets, types)
    return types, shapes


def _inferred(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with the types of its values as far as ONNX can infer them."""
    import onnx

    try:
        return onnx.shape_inference.infer_shapes(proto)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError):  # the checker rejects such a model too
        return proto


@dataclass(frozen=True, slots=True)
class Slot:
    """One actual input or output of a node."""

    name: str
    """The name of the value."""
    index: int
    """Its position among the node's inputs or outputs."""
    is_input: bool
    """True for an input, False for an output."""


def bound_slots(node: onnx.NodeProto, signature: Signature) -> dict[str, list[Slot]]:
    """Return the values of a node by the type variable that they have in its schema, inputs first."""
    bound: dict[str, list[Slot]] = {}
    for is_input, names, variable_of in (
        (True, node.input, signature.input_variable),
        (False, node.output, signature.output_variable),
    ):
        for index, name in enumerate(names):
            if name and (variable := variable_of(index)):
                bound.setdefault(variable, []).append(Slot(name, index, is_input))
    return bound


def _complete(node: onnx.NodeProto, opsets: dict[str, int], types: Types) -> None:
    """Give outputs without a type the type of the inputs with the same type variable, or NOT_PLAIN."""
    if all(types.get(name) for name in node.output if name):
        return
    signature = signature_of(node, opsets)
    for slots in bound_slots(node, signature).values() if signature else ():
        known = next((types[slot.name] for slot in slots if slot.is_input and types.get(slot.name)), NOT_PLAIN)
        for slot in slots:
            types[slot.name] = types.get(slot.name) or known
    for name in node.output:
        types[name] = types.get(name) or NOT_PLAIN


def _element_type(kind: onnx.TypeProto) -> int:
    return kind.tensor_type.elem_type if kind.WhichOneof("value") in {"tensor_type", None} else NOT_PLAIN


def _variable(formals: tuple[Formal, ...], index: int) -> str:
    if index < len(formals):
        return formals[index].variable
    return formals[-1].variable if formals and formals[-1].variadic else ""


@lru_cache(maxsize=1024)
def _signature(operator: str, version: int, domain: str) -> Signature | None:
    from onnx import defs

    try:
        schema = defs.get_schema(operator, version, domain)
    except defs.SchemaError:
        return None
    admitted = {c.type_param_str: frozenset(c.allowed_type_strs) for c in schema.type_constraints}
    variadic = defs.OpSchema.FormalParameterOption.Variadic

    def formal(parameter: defs.OpSchema.FormalParameter) -> Formal:
        one_type = parameter.is_homogeneous and parameter.type_str in admitted
        return Formal(parameter.type_str if one_type else "", parameter.option == variadic)

    inputs, outputs = tuple(map(formal, schema.inputs)), tuple(map(formal, schema.outputs))
    return Signature(inputs, outputs, admitted, frozenset(schema.attributes))
