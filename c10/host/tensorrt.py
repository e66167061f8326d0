"""Detects the versions of TensorRT and TensorRT-RTX without importing either.

TensorRT's version is that of the library that will be loaded, not of the package metadata. The Python package has
its libraries in ``tensorrt_libs``; JetPack's are on the loader's path. Source: NvInferRuntime.h,
getInferLib{Major,Minor,Patch,Build}Version (TensorRT 10 on); NvOnnxParser.h, getNvOnnxParserVersion.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from c10.host.installed import installed_version

if TYPE_CHECKING:
    import ctypes

SUPPORTED_MAJORS: Final = (11, 10)


def probe_versions(*, gpu: bool) -> dict[str, str | None]:
    """Return each version of HostCapabilities that a library or a package tells, by its field.

    ``gpu=False`` loads no library: it leaves out what is of use only with a GPU.
    """
    found = {"rtx_version": probe_tensorrt_rtx()}
    if gpu:
        found |= {"trt_version": probe_tensorrt(), "onnx_parser": probe_onnx_parser()}
    return found


def probe_tensorrt() -> str | None:
    """Return TensorRT's full version (10.3.0.26); None if no library of 10.x or 11.x can be loaded."""
    library = _load("libnvinfer.so")
    if library is None:
        return None
    try:
        parts = [getattr(library, f"getInferLib{part}Version")() for part in ("Major", "Minor", "Patch", "Build")]
    except AttributeError:
        return None
    return ".".join(str(part) for part in parts)


def probe_onnx_parser() -> str | None:
    """Return the ONNX parser's version number as text; None if there is no parser library."""
    library = _load("libnvonnxparser.so")
    try:
        return None if library is None else str(library.getNvOnnxParserVersion())
    except AttributeError:
        return None


def probe_tensorrt_rtx() -> str | None:
    """Return TensorRT-RTX's full version; None if it is not installed.

    Its wheel pins its libraries to its own version, so the metadata is the library's version.
    """
    return None if find_spec("tensorrt_rtx") is None else installed_version("tensorrt-rtx")


def _load(stem: str) -> ctypes.CDLL | None:
    import ctypes  # not needed to detect TensorRT-RTX

    for major in SUPPORTED_MAJORS:
        for candidate in (*_bundled(f"{stem}.{major}"), f"{stem}.{major}"):
            try:
                return ctypes.CDLL(candidate)
            except OSError:
                continue
    return None


def _bundled(name: str) -> list[str]:
    spec = find_spec("tensorrt_libs")
    locations = spec.submodule_search_locations if spec else None
    return [str(path) for place in locations or () if (path := Path(place) / name).exists()]
