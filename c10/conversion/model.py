"""An ONNX model as a small skeleton, with its weights held outside it.

Inference, inlining and the checker copy and serialize whole models, and a protobuf message is limited to 2 GiB. So
every tensor of more than `INLINE_MAX` bytes is taken out of the model when it is read, and put back when it is written.
In between, the model is kilobytes, however large its weights are; a tensor that was taken out is marked as external
data at `PLACE`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    import onnx

#: Returns the size in bytes of a tensor's external data, and a function that reads it.
ExternalData = Callable[["onnx.TensorProto"], tuple[int, Callable[[], bytes]]]
#: Bytes. Smaller tensors stay in the model, because inference reads shapes and axes from them.
INLINE_MAX: Final = 1024
#: The external-data location of tensors that were taken out; ``offset`` is then the index of their bytes.
PLACE: Final = "c10-weights"


class Model:
    """A model whose large tensors are held outside its protobuf message.

    ``proto``: the model without these tensors' values. A step may replace it.
    """

    def __init__(self, proto: onnx.ModelProto, external_data: ExternalData) -> None:
        """Take the weights out of ``proto``. Raises what ``external_data`` raises."""
        self.proto = proto
        self._weights: list[Callable[[], bytes]] = []
        for tensor in tensors_of(proto):
            self._take_out(tensor, external_data)

    def floats(self, tensor: onnx.TensorProto) -> np.ndarray[Any, Any]:
        """Return the values of an fp32 tensor, in its shape."""
        import numpy as np
        from onnx import numpy_helper

        content = self.content(tensor)
        if content is None:
            return numpy_helper.to_array(tensor)
        return np.frombuffer(content, np.float32).reshape(tuple(tensor.dims))

    def content(self, tensor: onnx.TensorProto) -> bytes | None:
        """Return the bytes that were taken out of a tensor; None if the tensor holds its values itself."""
        place = place_of(tensor)
        return None if place is None else self._weights[place]()

    def set_content(self, tensor: onnx.TensorProto, data_type: int, content: bytes) -> None:
        """Replace type and values of a tensor; ``content`` is in the little-endian form of ONNX's raw_data."""
        header = _header(tensor, data_type)
        tensor.CopyFrom(header)
        if len(content) <= INLINE_MAX:
            tensor.raw_data = content
        else:
            self._put_aside(tensor, lambda: content)

    def _take_out(self, tensor: onnx.TensorProto, external_data: ExternalData) -> None:
        import numpy as np
        from onnx import TensorProto

        if tensor.data_location == TensorProto.EXTERNAL:
            size, read = external_data(tensor)
            if size > INLINE_MAX:
                self._put_aside(tensor, read)
            else:
                self.set_content(tensor, tensor.data_type, read())
        elif len(tensor.float_data) * 4 > INLINE_MAX:
            self.set_content(tensor, tensor.data_type, np.array(tensor.float_data, np.float32).tobytes())
        elif tensor.HasField("raw_data") and len(content := tensor.raw_data) > INLINE_MAX:
            self.set_content(tensor, tensor.data_type, content)

    def _put_aside(self, tensor: onnx.TensorProto, read: Callable[[], bytes]) -> None:
        from onnx import TensorProto

        tensor.CopyFrom(_header(tensor, tensor.data_type))
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=PLACE)
        tensor.external_data.add(key="offset", value=str(len(self._weights)))
        self._weights.append(read)


def copy_of(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of a model's message, which is kilobytes because the weights are outside it."""
    copy = type(proto)()
    copy.CopyFrom(proto)
    return copy


def place_of(tensor: onnx.TensorProto) -> int | None:
    """Return the index of the bytes that were taken out of a tensor; None if the tensor holds its values itself."""
    if not tensor.external_data:
        return None
    entries = {entry.key: entry.value for entry in tensor.external_data}
    return int(entries["offset"]) if entries.get("location") == PLACE else None


def graphs_of(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield a graph and, in the order of the nodes, all graphs inside it (bodies of If, Loop and Scan)."""
    yield graph
    for node in graph.node:
        for inner in bodies_of(node):
            yield from graphs_of(inner)


def bodies_of(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """Yield the graphs in a node's attributes."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def tensors_of(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yield every tensor of a model: initializers and attributes of nodes, also in functions and training graphs."""
    for info in proto.training_info:
        for graph in (info.initialization, info.algorithm):
            yield from _graph_tensors(graph)
    yield from _graph_tensors(proto.graph)
    for function in proto.functions:
        for node in function.node:
            yield from _node_tensors(node)


def _graph_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        yield from _node_tensors(node)


def _node_tensors(node: onnx.NodeProto) -> Iterator[onnx.TensorProto]:
    for attribute in node.attribute:
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        if attribute.HasField("sparse_tensor"):
            yield from (attribute.sparse_tensor.values, attribute.sparse_tensor.indices)
    for graph in bodies_of(node):
        yield from _graph_tensors(graph)


def _header(tensor: onnx.TensorProto, data_type: int) -> onnx.TensorProto:
    from onnx import TensorProto

    return TensorProto(name=tensor.name, data_type=data_type, dims=tensor.dims, doc_string=tensor.doc_string)
