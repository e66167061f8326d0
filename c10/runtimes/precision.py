"""Precision where the network's own types decide it: the ONNX is converted. Runs in the child.

May import errors, onnx_files, publish, spec and its siblings; imports onnx and the converter
(onnxconverter-common), both lazily.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from c10.corpus.spec import Precision
from c10.errors import EngineBuildError
from c10.files.onnx_files import external_data_files
from c10.files.publish import publishing, temporary_path
from c10.runtimes.fp16 import prepare

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

    Its inputs and outputs keep their types. Raises EngineBuildError where the converter
    cannot, and PublishError where there is no room.
    """
    import onnx

    model = _convert(onnx_path, precision)
    folder = temporary_path(beside)
    try:
        with publishing(beside, f"write the model in {precision} beside it for the length of the build"):
            folder.mkdir(parents=True)
            external = model.ByteSize() > _PROTOBUF_MAX
            onnx.save_model(model, folder / "model.onnx", save_as_external_data=external, location="weights")
        del model
        yield folder / "model.onnx"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _convert(onnx_path: Path, precision: Precision) -> Any:
    if precision == "bf16":
        raise EngineBuildError(
            f"{onnx_path}: precision bf16: expected a model exported in bf16, got another",
            remedy="Export the model in bf16, or use fp16: no maintained converter makes bf16 without PyTorch.",
        )
    try:
        from onnxconverter_common.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16
    except ImportError as error:
        raise EngineBuildError(
            "precision fp16: expected the package onnxconverter-common, found none",
            remedy="pip install onnxconverter-common, or use precision fp32.",
        ) from error
    model = _load(onnx_path, external_data=False)
    try:
        large = _load_weights(model, onnx_path)
        left_alone = prepare(model, DEFAULT_OP_BLOCK_LIST)
        return convert_float_to_float16(
            model, keep_io_types=True, node_block_list=left_alone, disable_shape_infer=large
        )
    except Exception as error:
        raise EngineBuildError(
            f"{onnx_path}: precision fp16: expected a model that can be converted, got {type(error).__name__}: {error}",
            remedy="Export the model in fp16, or use precision fp32.",
        ) from error


def _load_weights(model: Any, onnx_path: Path) -> bool:
    """Load the external data; return whether shapes were inferred before, because the whole is too large for it.

    protobuf cannot serialize more than 2 GiB, which shape inference does: there it sees the model without weights.
    """
    import onnx
    from onnx.external_data_helper import load_external_data_for_model

    large = sum((onnx_path.parent / name).stat().st_size for name in external_data_files(onnx_path)) > _PROTOBUF_MAX
    if large:
        model.CopyFrom(onnx.shape_inference.infer_shapes(model))
    load_external_data_for_model(model, str(onnx_path.parent))
    return large


def _load(onnx_path: Path, *, external_data: bool) -> Any:
    import onnx

    try:
        return onnx.load(onnx_path, load_external_data=external_data)
    except Exception as error:  # protobuf's own errors share no base with OSError
        raise EngineBuildError(
            f"{onnx_path}: parse: expected an ONNX model, got {error}",
            remedy="The file is damaged or no ONNX: export it anew, or restore it.",
        ) from error
