"""ONNX's own backend test models: 2,033 of them with onnx 1.23.2, each with inputs.

How they are counted (this gives the 2,033 and the 1,292 that the project's figures are about, and
test_backend_models.py asserts both):

- 1,884 from `onnx.backend.test.case.node.collect_testcases(None)`, made in Python;
- 140 folders `model.onnx` + `test_data_set_0` under `onnx/backend/test/data`: pytorch-converted 82, pytorch-operator
  35, simple 23. The wheel has no folder `node`; a source checkout has, with the models of the first line under the same
  names, so a name that is there already is left out. The folders under `real` hold a URL and no model.
- 9 files `light/light_*.onnx`: graphs without weights of their own (ConstantOfShape makes them). They come with an
  output and no input; ONNX's own runner makes the input as `_ramp` does.

`BackendModel.counted` is the narrower set of the figures, of which 1,292 run on ONNX Runtime 1.32's CPU provider and
give no NaN there, 1,077 on that of 1.23, the last for Python 3.10 (`comparison.runs_in_fp32`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from .evaluators import IS_ONNXRUNTIME_1_23

DATA = Path(onnx.__file__).parent / "backend" / "test" / "data"
#: The numbers of onnx 1.23.2: all models, and those that the figures are about, which ONNX Runtime can run.
MODELS = 2033
COUNTED = 1077 if IS_ONNXRUNTIME_1_23 else 1292
ONNX_VERSION = "1.23.2"


@dataclass(frozen=True)
class BackendModel:
    """A model, what to feed it with, and the outputs that ONNX expects."""

    name: str
    proto: onnx.ModelProto
    inputs: tuple[Any, ...]
    expected: tuple[Any, ...]

    @property
    def feeds(self) -> dict[str, Any]:
        """The inputs by name; numpy's scalars as arrays, as ONNX Runtime wants them."""
        given = list(self.proto.graph.input)
        if len(given) != len(self.inputs):  # initializers that are inputs have no data
            constants = {tensor.name for tensor in self.proto.graph.initializer}
            given = [value for value in given if value.name not in constants]
        pairs = zip(given, self.inputs, strict=True)
        return {value.name: _array(content) for value, content in pairs if content is not None}

    @property
    def has_fp32_input(self) -> bool:
        """Whether a graph input is a tensor of fp32."""
        return any(value.type.tensor_type.elem_type == TensorProto.FLOAT for value in self.proto.graph.input)

    @property
    def counted(self) -> bool:
        """Whether the figures count it, as long as ONNX Runtime runs it without NaN: inputs on file, arrays alone."""
        on_file = not self.name.startswith("light_")
        arrays = all(isinstance(content, np.ndarray) for content in self.inputs if content is not None)
        return self.has_fp32_input and on_file and arrays


def names() -> tuple[str, ...]:
    """Return the names of all models, sorted."""
    return tuple(sorted(_sources()))


def every_tenth() -> tuple[str, ...]:
    """Return each tenth name."""
    return names()[::10]


def load(name: str) -> BackendModel:
    """Return one model; nothing that the caller changes in it stays."""
    return _sources()[name]()


@cache
def _sources() -> dict[str, Callable[[], BackendModel]]:
    """Return how to load each model. Collecting takes seconds: ONNX computes the expected outputs in Python."""
    found = {case.name: _loader(case) for case in _node_cases()}
    for path in sorted(DATA.glob("*/*/model.onnx")):
        found.setdefault(path.parent.name, lambda path=path: _from_folder(path))  # type: ignore[misc]
    for path in sorted((DATA / "light").glob("*.onnx")):
        found.setdefault(path.stem, lambda path=path: _light(path))  # type: ignore[misc]
    return found


def _node_cases() -> Iterable[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # overflows and divisions by zero are what some of the cases are about
        from onnx.backend.test.case import node

        return node.collect_testcases(None)


def _loader(case: Any) -> Callable[[], BackendModel]:
    def loaded() -> BackendModel:
        proto = onnx.ModelProto()
        proto.CopyFrom(case.model)
        inputs, expected = (tuple(_plain(value) for value in values) for values in case.data_sets[0])
        return BackendModel(case.name, proto, inputs, expected)

    return loaded


def _from_folder(path: Path) -> BackendModel:
    proto = onnx.load(path)
    inputs = _values(path.parent, "input", proto.graph.input)
    return BackendModel(path.parent.name, proto, inputs, _values(path.parent, "output", proto.graph.output))


def _values(folder: Path, kind: str, declared: Iterable[onnx.ValueInfoProto]) -> tuple[Any, ...]:
    files = [(folder / "test_data_set_0" / f"{kind}_{i}.pb", value.type) for i, value in enumerate(declared)]
    return tuple(_read(path, type_) for path, type_ in files if path.exists())


def _read(path: Path, declared: onnx.TypeProto) -> Any:
    content = path.read_bytes()
    match declared.WhichOneof("value"):
        case "sequence_type":
            return numpy_helper.to_list(onnx.SequenceProto.FromString(content))
        case "optional_type":
            return numpy_helper.to_optional(onnx.OptionalProto.FromString(content))
        case _:
            return numpy_helper.to_array(TensorProto.FromString(content))


def _light(path: Path) -> BackendModel:
    proto = onnx.load(path)
    constants = {tensor.name for tensor in proto.graph.initializer}
    inputs = tuple(_ramp(value) for value in proto.graph.input if value.name not in constants)
    expected = path.with_name(f"{path.stem}_output_0.pb")
    return BackendModel(path.stem, proto, inputs, (_read(expected, proto.graph.output[0].type),))


def _ramp(value: onnx.ValueInfoProto) -> np.ndarray[Any, Any]:
    """Return what `onnx.backend.test.runner.Runner.generate_dummy_data` makes: 0 to 1 in equal steps."""
    shape = [dimension.dim_value or 1 for dimension in value.type.tensor_type.shape.dim]
    count = int(np.prod(shape))
    return (np.arange(count).reshape(shape) / count).astype(np.float32)


def _plain(value: Any) -> Any:
    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else value


def _array(value: Any) -> Any:
    return np.asarray(value) if isinstance(value, np.generic | float | int) else value
