"""Lists the external-data files that an ONNX file names.

Walks the protobuf wire format and skips every payload. This takes milliseconds and kilobytes for a model of
gigabytes and imports neither onnx nor protobuf, so the files are known before a first compile.
Field numbers: onnx.proto (ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto);
wire format: protobuf.dev/programming-guides/encoding. See docs/adr/0003.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final, NamedTuple

from c10.errors import SourceError
from c10.files.digest import open_regular
from c10.files.remedies import to_read

_VARINT, _FIXED64, _BYTES, _GROUP, _END_GROUP, _FIXED32 = 0, 1, 2, 3, 4, 5
_FIXED: Final = {_FIXED64: 8, _FIXED32: 4}  # bytes
_VARINT_MAX: Final = 10  # bytes
_STRING_MAX: Final = 1 << 16  # bytes; longer than any path
_DEPTH_MAX: Final = 100  # nested messages, as protobuf itself

# Message → field → message of that field, for every field on a path to a TensorProto.
_SCHEMA: Final[dict[str, dict[int, str]]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 10: "tensor", 6: "graph", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION, _EXTERNAL = 13, 14, 1
_ENTRY_KEY, _ENTRY_VALUE = 1, 2


class _Field(NamedTuple):
    number: int
    start: int  # of the payload, bytes from the file's start; equals ``end`` for a varint
    end: int
    varint: int | None


def external_data_files(onnx_path: Path) -> tuple[str, ...]:
    """Return the locations of the model's external-data files, in order, relative to the model's folder.

    Raises SourceError if the file cannot be read or is not a protobuf message, or if a location is outside the
    model's folder, which is the parent of ``onnx_path`` as given, even if that is a symbolic link. A file that cannot
    be parsed is refused, never treated as a model without external data: this parser reads every file that
    protobuf reads.
    """
    try:
        with open(open_regular(onnx_path), "rb") as file:  # noqa: PTH123 - a descriptor, not a path
            end = file.seek(0, 2)
            locations = sorted(set(_locations(file, _Message("model", 0, end, 0))))
    except _NotProtobufError as error:
        raise SourceError(
            f"{onnx_path}: expected an ONNX model, got a file in another format or a truncated one",
            remedy="Export it again, or restore it (`git lfs pull` if it is a Git LFS pointer).",
        ) from error
    except OSError as error:
        raise SourceError(
            f"{onnx_path}: expected a readable ONNX file, got {error.strerror or error}",
            remedy=to_read(error, "Put the model there (one of your doit tasks may create it), or correct onnx_path."),
        ) from error
    for location in locations:
        refuse_outside(onnx_path, location)
    return tuple(locations)


class _NotProtobufError(Exception):
    pass


class _Message(NamedTuple):
    kind: str
    start: int
    end: int
    depth: int


def _locations(file: BinaryIO, message: _Message) -> Iterator[str]:
    if message.kind == "tensor":
        yield from _tensor_location(file, message)
        return
    if message.depth > _DEPTH_MAX:
        raise _NotProtobufError
    for field in _fields(file, message.start, message.end):
        kind = _SCHEMA[message.kind].get(field.number)
        if kind is not None and field.varint is None:
            yield from _locations(file, _Message(kind, field.start, field.end, message.depth + 1))


def _tensor_location(file: BinaryIO, tensor: _Message) -> Iterator[str]:
    entries: dict[str, str] = {}
    external = False
    for field in _fields(file, tensor.start, tensor.end):
        if field.number == _TENSOR_DATA_LOCATION and field.varint is not None:
            external = field.varint == _EXTERNAL
        elif field.number == _TENSOR_EXTERNAL_DATA and field.varint is None:
            entry = {part.number: _text(file, part) for part in _fields(file, field.start, field.end)}
            entries[entry.get(_ENTRY_KEY, "")] = entry.get(_ENTRY_VALUE, "")
    if external:
        yield entries.get("location", "")


def _fields(file: BinaryIO, start: int, end: int) -> Iterator[_Field]:
    position = start
    while position < end:
        file.seek(position)
        key = _varint(file)
        if not key >> 3:  # no field has the number 0, so a file of zeros is refused at once
            raise _NotProtobufError
        if key & 7 == _GROUP:  # ONNX has no groups: protobuf skips one as an unknown field
            position = _end_of_group(file, key >> 3, end)
            continue
        length, value = _payload(file, key & 7)
        start = file.tell()
        position = start + length
        if position > end:
            raise _NotProtobufError
        if key & 7 not in _FIXED:  # no field that matters has a fixed width: protobuf skips it as an unknown one
            yield _Field(key >> 3, start, position, value)


def _end_of_group(file: BinaryIO, number: int, end: int) -> int:
    """Skip a group, including nested groups; the file is positioned after its key. Returns the offset of its end."""
    opened = [number]
    while opened:
        key, length = _varint(file), 0
        if key & 7 == _GROUP:
            opened.append(key >> 3)
        elif key & 7 == _END_GROUP:
            if opened.pop() != key >> 3:
                raise _NotProtobufError
        else:
            length, _ = _payload(file, key & 7)
        position = file.tell() + length
        if position > end or len(opened) > _DEPTH_MAX or not key >> 3:
            raise _NotProtobufError
        file.seek(position)
    return file.tell()


def _payload(file: BinaryIO, kind: int) -> tuple[int, int | None]:
    """Return the payload's remaining length in bytes and, for a varint, its value; otherwise None."""
    if kind == _VARINT:
        return 0, _varint(file)
    if kind == _BYTES:
        return _varint(file), None
    if kind in _FIXED:
        return _FIXED[kind], None
    raise _NotProtobufError


def _varint(file: BinaryIO) -> int:
    value = 0
    for index in range(_VARINT_MAX):
        byte = file.read(1)
        if not byte:
            raise _NotProtobufError
        value |= (byte[0] & 0x7F) << (7 * index)
        if byte[0] < 0x80:  # noqa: PLR2004 - the continuation bit
            return value
    raise _NotProtobufError


def _text(file: BinaryIO, field: _Field) -> str:
    if field.end - field.start > _STRING_MAX:
        raise _NotProtobufError
    file.seek(field.start)
    return file.read(field.end - field.start).decode("utf-8", "replace")


def refuse_outside(onnx_path: Path, location: str) -> None:
    """Refuse a location that names a file outside the model's folder.

    A symbolic link inside the folder is followed wherever it points, as TensorRT does: model hubs and data version
    control store the files elsewhere and link to them. The link's target is hashed.
    """
    parts = PurePosixPath(location).parts
    if not parts or location.startswith("/") or ".." in parts or "\0" in location:
        raise SourceError(
            f"{onnx_path}: external data: expected a location inside the model's folder, got {location[:200]!r}",
            remedy="Export the model again with its weights beside it.",
        )
