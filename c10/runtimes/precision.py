"""Precision where the network's own types decide it: the ONNX is converted. Runs in the child.

May import errors, publish and spec; imports onnx and the converter (onnxconverter-common), both lazily.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from c10.errors import EngineBuildError
from c10.publish import temporary_path
from c10.spec import Precision

_PROTOBUF_MAX: Final = (1 << 31) - 1  # bytes in one message; beyond, weights go to a file beside the model


def needs_conversion(onnx_path: Path, precision: Precision) -> bool:
    """Whether the ONNX has to be converted to be of ``precision``; one exported so already is taken as it is."""
    if precision not in {"fp16", "bf16"}:
        return False
    from onnx import TensorProto

    wanted = TensorProto.FLOAT16 if precision == "fp16" else TensorProto.BFLOAT16
    model = _load(onnx_path, external_data=False)
    return all(tensor.data_type != wanted for tensor in model.graph.initializer)


@contextmanager
def converted(onnx_path: Path, precision: Precision, *, beside: Path) -> Iterator[Path]:
    """Write the model in ``precision`` beside the engine, under a temporary name, for the length of the block.

    Its inputs and outputs keep their types. Raises EngineBuildError where the converter cannot.
    """
    import onnx

    model = _convert(onnx_path, precision)
    folder = temporary_path(beside)
    try:
        folder.mkdir(parents=True)
        external = model.ByteSize() > _PROTOBUF_MAX
        onnx.save_model(model, folder / "model.onnx", save_as_external_data=external, location="weights")
        del model
        yield folder / "model.onnx"
    except OSError as error:
        raise EngineBuildError(f"{folder}: precision {precision}: expected room for the model, got {error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _convert(onnx_path: Path, precision: Precision) -> Any:
    if precision == "bf16":
        raise EngineBuildError(
            f"{onnx_path}: precision bf16: expected a model exported in bf16, got another",
            remedy="Export the model in bf16, or use fp16: no maintained converter makes bf16 without PyTorch.",
        )
    try:
        from onnxconverter_common.float16 import convert_float_to_float16
    except ImportError as error:
        raise EngineBuildError(
            "precision fp16: expected the package onnxconverter-common, found none",
            remedy="pip install onnxconverter-common, or use precision fp32.",
        ) from error
    model = _load(onnx_path, external_data=True)
    _name_nodes(model)
    try:
        return convert_float_to_float16(model, keep_io_types=True)
    except Exception as error:
        raise EngineBuildError(
            f"{onnx_path}: precision fp16: expected a model that can be converted, got {type(error).__name__}: {error}",
            remedy="Export the model in fp16, or use precision fp32.",
        ) from error


def _name_nodes(model: Any) -> None:
    """Give every node a name: the converter derives names from them, and two without one would collide."""
    for index, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{index}"


def _load(onnx_path: Path, *, external_data: bool) -> Any:
    import onnx

    try:
        return onnx.load(onnx_path, load_external_data=external_data)
    except Exception as error:  # protobuf's own errors share no base with OSError
        raise EngineBuildError(f"{onnx_path}: parse: expected an ONNX model, got {error}") from error
