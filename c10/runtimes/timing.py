"""TensorRT's timing cache, kept between builds of one device. Runs in the child.

Specific to device, CUDA and TensorRT version, which its file name says. It changes how long a build takes and
never what an engine was built from, so it is not part of the build key. The GPU's lock is held around every
build that uses one: loading, combining and writing cannot lose another's update.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from c10.errors import PublishError
from c10.files.publish import publish
from c10.host import HostCapabilities

if TYPE_CHECKING:
    import tensorrt

TIMING_DIRECTORY: Final = ".timing"


def timing_cache_path(cache_root: Path, host: HostCapabilities) -> Path:
    """Return where the timing cache of a host lies."""
    parts = [f"sm{host.sm}", host.device_name or "gpu", f"cuda{host.cuda_driver}", f"trt{host.tensorrt_version}"]
    name = "_".join(re.sub(r"[^a-z0-9.]+", "-", part.lower()) for part in parts)
    return cache_root / TIMING_DIRECTORY / f"{name}.timing"


def load_timing_cache(config: tensorrt.IBuilderConfig, path: Path) -> None:
    """Give the builder what earlier builds measured; a file that TensorRT does not accept is as good as none."""
    try:
        saved = path.read_bytes()
    except OSError:
        saved = b""
    cache = config.create_timing_cache(saved) or config.create_timing_cache(b"")
    config.set_timing_cache(cache, ignore_mismatch=False)


def save_timing_cache(config: tensorrt.IBuilderConfig, path: Path) -> None:
    """Keep what was measured; where that fails the next build measures again."""
    cache = config.get_timing_cache()
    if cache is not None:
        with suppress(PublishError):
            publish(path, memoryview(cache.serialize()))
