"""Converting a model in memory with c10, as a user converts a file."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import onnx

from c10.conversion import ConversionResult, convert_network

Precision = Literal["fp16", "bf16"]


@dataclass(frozen=True)
class Converted:
    """What `convert_network` wrote and returned, or the error that it raised."""

    proto: onnx.ModelProto | Exception
    result: ConversionResult | None = None


def convert(proto: onnx.ModelProto, precision: Precision, keep_fp32: Sequence[str] = ()) -> onnx.ModelProto:
    """Return the converted network."""
    return converted(proto, precision, keep_fp32)[0]


def converted(
    proto: onnx.ModelProto, precision: Precision, keep_fp32: Sequence[str] = ()
) -> tuple[onnx.ModelProto, ConversionResult]:
    """Return the converted network and what the converter says of it."""
    with tempfile.TemporaryDirectory(dir=_memory()) as folder:
        given, written = Path(folder, "given.onnx"), Path(folder, "written.onnx")
        given.write_bytes(proto.SerializeToString())
        result = convert_network(given, written, precision=precision, keep_fp32=keep_fp32)
        return onnx.load(written), result


def attempt(proto: onnx.ModelProto, precision: Precision) -> Converted:
    """Convert a network; an error is an answer."""
    try:
        return Converted(*converted(proto, precision))
    except Exception as error:  # noqa: BLE001  # any error at all counts as one
        return Converted(error)


def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  # files of kilobytes, removed at once
