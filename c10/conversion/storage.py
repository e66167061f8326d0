"""Reads and writes a model's file and its external data.

External data: https://onnx.ai/onnx/repo-docs/ExternalData.html. onnx's own reader rejects symlinks, which caches of
models use (Hugging Face, git-annex, DVC); TensorRT follows them, and so does this reader.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from c10.conversion.model import Model, copy_of, place_of, tensors_of
from c10.errors import EngineBuildError, SourceError
from c10.files.digest import open_regular
from c10.files.onnx_files import refuse_outside
from c10.files.publish import make_directory, publish, publishing, temporary_path
from c10.files.remedies import to_read

if TYPE_CHECKING:
    import onnx

#: Bytes. More weights are written to a file of their own, because a protobuf message is limited to 2 GiB.
EMBEDDED_MAX: Final = 1 << 30
_ALIGNMENT: Final = 4096  # bytes; ONNX recommends whole pages, so that weights can be mapped
#: An element type's name: its kind, and the bits of an element if the name has them (FLOAT8E4M3FN).
_TYPE_NAME: Final = re.compile(r"([A-Z]+)(\d+)?")
_BITS: Final = {"BOOL": 8, "DOUBLE": 64, "FLOAT": 32, "STRING": 0, "UNDEFINED": 0}
_DAMAGED: Final = "The file is damaged or is not ONNX: export it again, or restore it."


def read_model(onnx_path: Path) -> Model:
    """Read an ONNX file. Raises EngineBuildError if it is not ONNX, SourceError if it cannot be read."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        with open(open_regular(onnx_path), "rb") as file:  # noqa: PTH123 - a descriptor, not a path
            proto = onnx.ModelProto.FromString(file.read())
    except OSError as error:
        raise _unreadable(onnx_path, error) from error
    except DecodeError as error:
        raise EngineBuildError(f"{onnx_path}: parse: expected an ONNX model, got {error}", remedy=_DAMAGED) from error
    return Model(proto, partial(_external_data, onnx_path))


def weight_bytes(model: Model) -> int:
    """Return the total size in bytes of the weights that are held outside ``model.proto``."""
    return sum(tensor_bytes(tensor) for tensor in tensors_of(model.proto) if place_of(tensor) is not None)


def tensor_bytes(tensor: onnx.TensorProto) -> int:
    """Return the size of a tensor's values in bytes, by its type and shape; 0 for strings."""
    from onnx import TensorProto

    name = TensorProto.DataType.Name(cast("TensorProto.DataType", tensor.data_type))
    kind, digits = _TYPE_NAME.match(name).groups()  # type: ignore[union-attr] # every name matches
    bits = int(digits) if digits else _BITS[kind]
    elements: int = prod(tensor.dims)
    return (elements * bits + 7) // 8


def to_bytes(model: Model) -> bytes:
    """Return the whole model as one protobuf message. Its weights must not exceed EMBEDDED_MAX."""
    proto = copy_of(model.proto)
    for tensor in tensors_of(proto):
        if (content := model.content(tensor)) is not None:
            tensor.ClearField("external_data")
            tensor.ClearField("data_location")
            tensor.raw_data = content
    return bytes(proto.SerializeToString())


def to_bytes_and_data(model: Model, data: BinaryIO, location: str) -> bytes:
    """Write the weights to ``data``; return the message, which refers to them as external data at ``location``."""
    proto = copy_of(model.proto)
    for tensor in tensors_of(proto):
        if (content := model.content(tensor)) is not None:
            data.write(b"\0" * (-data.tell() % _ALIGNMENT))
            entries = {"location": location, "offset": data.tell(), "length": len(content)}
            data.write(content)
            tensor.ClearField("external_data")
            for key, value in entries.items():
                tensor.external_data.add(key=key, value=str(value))
    return bytes(proto.SerializeToString())


def write_model(model: Model, path: Path) -> None:
    """Write a model atomically and durably; weights of more than EMBEDDED_MAX go to ``<path>.data``.

    Raises PublishError if a file cannot be written, and SourceError if external data can no longer be read.
    """
    if weight_bytes(model) <= EMBEDDED_MAX:
        publish(path, to_bytes(model))
        return
    data_path = path.with_name(f"{path.name}.data")
    temporary = temporary_path(data_path)
    try:
        with publishing(data_path):
            make_directory(path.parent)
            with temporary.open("xb") as file:
                content = to_bytes_and_data(model, file, data_path.name)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(data_path)
        publish(path, content)
    finally:
        temporary.unlink(missing_ok=True)


def _external_data(onnx_path: Path, tensor: onnx.TensorProto) -> tuple[int, Callable[[], bytes]]:
    """Return the size of a tensor's external data in bytes, and a function that reads it. Raises SourceError."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    refuse_outside(onnx_path, entries.get("location", ""))
    path = onnx_path.parent / entries["location"]
    try:
        offset = int(entries.get("offset", 0))
        length = int(entries["length"]) if "length" in entries else tensor_bytes(tensor)
        with open(open_regular(path), "rb") as file:  # noqa: PTH123 - a descriptor, not a path
            there = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise _unreadable(path, error, f"external data of tensor {tensor.name!r}: ") from error
    except ValueError as error:
        raise SourceError(f"{path}: external data of tensor {tensor.name!r}: {error}", remedy=_DAMAGED) from error
    if offset < 0 or length != tensor_bytes(tensor) or offset + length > there:
        found = f"{length} bytes at {offset} of a file of {there}"
        expected = f"expected {tensor_bytes(tensor)} bytes for tensor {tensor.name!r}"
        raise SourceError(f"{path}: external data: {expected}, got {found}", remedy=_DAMAGED)
    return length, partial(_read, path, offset, length)


def _read(path: Path, offset: int, length: int) -> bytes:
    try:
        with open(open_regular(path), "rb") as file:  # noqa: PTH123 - a descriptor, not a path
            file.seek(offset)
            content = file.read(length)
    except OSError as error:
        raise _unreadable(path, error) from error
    if len(content) < length:
        raise SourceError(f"{path}: expected {length} bytes at {offset}, got {len(content)}", remedy=_DAMAGED)
    return content


def _unreadable(path: Path, error: OSError, what: str = "") -> SourceError:
    return SourceError(
        f"{path}: {what}expected a readable file, got {error.strerror or error}",
        remedy=to_read(error, "Put the file there, or correct onnx_path."),
    )
