"""INT8 calibration caches of TensorRT 10.x.

The first line of a cache names the TensorRT that wrote it and the algorithm: ``TRT-100300-EntropyCalibration2``.
According to NVIDIA a cache is portable between devices but not between releases. TensorRT silently ignores the cache of
another release and tries to calibrate again, so c10 refuses such a cache before the build.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from c10.errors import CalibrationCacheError

_HEADER: Final = re.compile(r"TRT-(\d+)-(\w+)")
_HEADER_MAX: Final = 200  # bytes
_CALIBRATORS: Final = {
    "EntropyCalibration2": "IInt8EntropyCalibrator2",
    "EntropyCalibration": "IInt8EntropyCalibrator",
    "MinMaxCalibration": "IInt8MinMaxCalibrator",
    "LegacyCalibration": "IInt8LegacyCalibrator",
}
_RENEW: Final = "Calibrate again with the TensorRT that builds, or correct calibration_cache in backbones.toml."


def refuse_missing_cache(path: Path) -> None:
    """Raise CalibrationCacheError unless ``path`` is a file with content."""
    try:
        empty = path.stat().st_size == 0
    except OSError as error:
        raise CalibrationCacheError(
            f"{path}: calibration cache: expected a readable file, got {error.strerror}",
            calibration_path=path,
            remedy=_RENEW,
        ) from error
    if empty or not path.is_file():
        got = "an empty file" if empty else "something other than a file"
        raise CalibrationCacheError(
            f"{path}: calibration cache: expected a calibration table, got {got}", calibration_path=path, remedy=_RENEW
        )


def calibration_algorithm(path: Path, version: str) -> str:
    """Return the algorithm of a calibration cache, such as ``EntropyCalibration2``.

    ``version`` is the full version of TensorRT. Raises CalibrationCacheError if another version wrote the cache.
    """
    refuse_missing_cache(path)
    with path.open("rb") as file:
        first = file.read(_HEADER_MAX).split(b"\n")[0].decode("ascii", "replace").strip()
    match = _HEADER.fullmatch(first)
    expected = f"TRT-{version_number(version)}-EntropyCalibration2"
    if match is None or match[2] not in _CALIBRATORS or int(match[1]) != version_number(version):
        raise CalibrationCacheError(
            f"{path}: calibration cache: expected {expected} (or another algorithm), got {first!r}",
            calibration_path=path,
            remedy=_RENEW,
        )
    return match[2]


def version_number(version: str) -> int:
    """Return a version of TensorRT as the number in its headers: 100300 for 10.3.0.26 (NV_TENSORRT_VERSION)."""
    major, minor, patch = (int(part) for part in [*version.split("."), "0", "0"][:3])
    return major * 10000 + minor * 100 + patch


def make_calibrator(trt: Any, path: Path, version: str) -> Any:
    """Return a calibrator that only reads the cache and never calibrates. Raises CalibrationCacheError."""
    base = getattr(trt, _CALIBRATORS[calibration_algorithm(path, version)])
    table = path.read_bytes()

    class CachedCalibrator(base):  # type: ignore[misc, valid-type] # the base is known once TensorRT is imported
        def __init__(self) -> None:
            base.__init__(self)

        def get_batch_size(self) -> int:
            return 1

        def get_batch(self, names: list[str]) -> None:
            """Return None, which tells TensorRT that there is no calibration data."""

        def read_calibration_cache(self) -> bytes:
            return table

        def write_calibration_cache(self, cache: Any) -> None:
            """Do nothing: the cache is a source file, and c10 does not write it."""

    return CachedCalibrator()
