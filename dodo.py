"""c10's own corpus: the network graphs that the onnx package ships, compiled into TensorRT engines."""

import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from c10.tasks import DOIT_CONFIG, task_engines

__all__ = ["DOIT_CONFIG", "task_engines", "task_models"]

MODELS = {
    "resnet50": "light_resnet50.onnx",
    "squeezenet": "light_squeezenet.onnx",
    "shufflenet": "light_shufflenet.onnx",
    "inception_v1": "light_inception_v1.onnx",
}


def task_models() -> Iterator[dict[str, Any]]:
    """ONNX models, copied from the onnx package"""
    package = find_spec("onnx")
    folders = package.submodule_search_locations if package else None
    for name, graph in MODELS.items():
        source = Path((folders or ["onnx"])[0], "backend", "test", "data", "light", graph)
        model = Path("models", f"{name}.onnx")
        yield {
            "name": name,
            "doc": f"{graph} → {model}",
            "file_dep": [str(source)],
            "targets": [str(model)],
            "actions": [(_copy, [source, model])],
            "clean": True,
        }


def _copy(source: Path, model: Path) -> None:
    model.parent.mkdir(exist_ok=True)
    shutil.copyfile(source, model)
