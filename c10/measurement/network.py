"""Running a network on ONNX Runtime's CPU provider."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from c10.conversion.model import Model
from c10.conversion.storage import EMBEDDED_MAX, to_bytes, to_bytes_and_data, weight_bytes
from c10.files.onnx_files import external_data_files
from c10.measurement.report import MISSING, NotMeasuredError

if TYPE_CHECKING:
    import numpy as np

#: ONNX Runtime's log level: fatal errors alone. Other errors reach c10 as exceptions.
_FATAL: Final = 4
#: ONNX Runtime's name of the type.
_FP32: Final = "tensor(float)"


class Network:
    """A network that ONNX Runtime has loaded."""

    def __init__(self, source: Path | bytes, *, threads: int, what: str) -> None:
        """Load a model from its file or its bytes. ``threads``: 0 for one a core. ``what``: the network in words.

        Raises NotMeasuredError if ONNX Runtime is missing or cannot load it.
        """
        try:
            import onnxruntime as ort
        except ImportError as error:
            raise NotMeasuredError(MISSING) from error
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = _FATAL
        self._what = what
        try:
            model = source if isinstance(source, bytes) else str(source)
            self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise NotMeasuredError(f"ONNX Runtime cannot load {what}: {_line(error)}") from error
        self._fp32 = {value.name for value in self._session.get_inputs() if value.type == _FP32}
        self.output_names = tuple(value.name for value in self._session.get_outputs())

    def run(self, feeds: Mapping[str, np.ndarray[Any, Any]]) -> list[Any]:
        """Return the outputs in the model's order; a 16-bit array may be given for an fp32 input.

        Raises NotMeasuredError if ONNX Runtime cannot run the network.
        """
        import numpy as np

        given = {name: array.astype(np.float32) if name in self._fp32 else array for name, array in feeds.items()}
        try:
            return list(self._session.run(None, given))
        except MemoryError:
            raise
        except Exception as error:
            raise NotMeasuredError(f"ONNX Runtime cannot run {self._what}: {_line(error)}") from error


def source_of(model: Model, folder: Path) -> Path | bytes:
    """Return a model's bytes or, if its weights do not fit into one message, the file in ``folder`` that holds it."""
    if weight_bytes(model) <= EMBEDDED_MAX:
        return to_bytes(model)
    with (folder / "weights").open("wb") as data:
        content = to_bytes_and_data(model, data, "weights")
    (folder / "model.onnx").write_bytes(content)
    return folder / "model.onnx"


def has_links(onnx_path: Path) -> bool:
    """Whether a symbolic link leads to a model or its weights: ONNX Runtime refuses weights outside of its folder."""
    folder = onnx_path.parent
    names = (onnx_path.name, *external_data_files(onnx_path))
    return any((folder / name).resolve() != folder.resolve() / name for name in names)


def refuse_without_rounding(threads: int) -> None:
    """Raise NotMeasuredError if this ONNX Runtime leaves out what ``emulation`` rounds by."""
    import numpy as np
    from onnx import TensorProto, helper

    for half, values, rounded in (
        (TensorProto.FLOAT16, [1 + 2**-12, 65519, 65520, 1e-8], [1, 65504, np.inf, 0]),
        (TensorProto.BFLOAT16, [1 + 2**-9, 65520, 3.4e38, 1e-8], [1, 65536, np.inf, 1.0011717677116394e-08]),
    ):
        nodes = [
            helper.make_node("Mul", ["x", "one"], ["exact"]),
            helper.make_node("Cast", ["exact"], ["half"], to=half),
            helper.make_node("Cast", ["half"], ["back"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["back", "one"], ["y"]),
        ]
        x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in "xy")
        graph = helper.make_graph(nodes, "rounding", [x], [y], [helper.make_tensor("one", TensorProto.FLOAT, [], [1])])
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        network = Network(proto.SerializeToString(), threads=threads, what="a network of two casts")
        if not np.array_equal(network.run({"x": np.array(values, np.float32)})[0], np.array(rounded, np.float32)):
            raise NotMeasuredError("this ONNX Runtime leaves out the rounding to 16 bits")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
