"""The default corpus's names over its smallest network: for tests of how a real build looks, not of what it makes."""

from __future__ import annotations

import shutil
from pathlib import Path

from reliability.real import light_model

NAMES = ("resnet50", "squeezenet", "shufflenet", "inception_v1")


def write_light_corpus(folder: Path) -> Path:
    """Write four backbones that TensorRT-RTX compiles in about a second each."""
    (folder / "models").mkdir()
    lines = ['precision = "fp16"']
    for name in NAMES:
        shutil.copyfile(light_model("squeezenet"), folder / "models" / f"{name}.onnx")
        lines += ["[[backbones]]", f'model_name = "{name}"', f'onnx_path = "models/{name}.onnx"']
        lines += ["expected_input_shape = [1, 3, 224, 224]", 'input_name = "data_0"']
    (folder / "backbones.toml").write_text("\n".join(lines) + "\n", "utf-8")
    (folder / "dodo.py").write_text("from c10.tasks import DOIT_CONFIG, task_engines\n", "utf-8")
    return folder
