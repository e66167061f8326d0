"""Keeps TensorRT's timing cache between builds on one device.

The cache is specific to the device and to the versions of CUDA and TensorRT, which its filename states. It changes how
long a build takes but not what the engine is built from, so it is not part of the build key. Every build that uses it
holds the GPU's lock, so no other build can write the file between loading and saving.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from c10.corpus.runtimes import RUNTIME_OF, RuntimeKind
from c10.errors import PublishError
from c10.files.publish import publish
from c10.host import HostCapabilities

if TYPE_CHECKING:
    import tensorrt

TIMING_DIRECTORY: Final = ".timing"


def timing_cache_path(cache_root: Path, host: HostCapabilities, runtime: RuntimeKind) -> Path:
    """Return the path of the timing cache of a runtime on a host."""
    version = getattr(host, RUNTIME_OF[runtime].version_fact)
    parts = [f"sm{host.sm}", host.device_name or "gpu", f"cuda{host.cuda_driver}", f"{runtime}{version}"]
    name = "_".join(re.sub(r"[^a-z0-9.]+", "-", part.lower()) for part in parts)
    return cache_root / TIMING_DIRECTORY / f"{name}.timing"


def load_timing_cache(config: tensorrt.IBuilderConfig, path: Path) -> None:
    """Load the measurements of earlier builds; start empty if the file is missing or TensorRT rejects it."""
    try:
        saved = path.read_bytes()
    except OSError:
        saved = b""
    cache = config.create_timing_cache(saved) or config.create_timing_cache(b"")
    config.set_timing_cache(cache, ignore_mismatch=False)


def save_timing_cache(config: tensorrt.IBuilderConfig, path: Path) -> None:
    """Save the measurements. If the file cannot be written, the next build measures again."""
    cache = config.get_timing_cache()
    if cache is not None:
        with suppress(PublishError):
            publish(path, memoryview(cache.serialize()))
