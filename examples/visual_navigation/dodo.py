"""`doit models` exports the networks, `doit engines` compiles them and exports what is missing first."""

import sys
from collections.abc import Iterator
from typing import Any

from c10.tasks import DOIT_CONFIG, task_engines

__all__ = ["DOIT_CONFIG", "task_engines", "task_models"]


def task_models() -> Iterator[dict[str, Any]]:
    """ONNX models, exported from PyTorch; one that exists is kept, it may hold your weights"""
    for name in ("dinov2_vpr", "lightglue", "aliked"):
        yield {
            "name": name,
            "actions": [[sys.executable, "export.py", name]],
            "targets": [f"models/{name}.onnx"],
            "uptodate": [True],
        }
