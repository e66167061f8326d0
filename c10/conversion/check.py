"""Checks whether a model is valid ONNX, with type inference and without reading its weights."""

from __future__ import annotations

import tempfile
from pathlib import Path

from c10.conversion.model import PLACE, Model


def problem_of(model: Model) -> str:
    """Return the error that `onnx.checker` reports for a model, with type inference; "" if the model is valid.

    The weights are left out: the checker reads their types and shapes only.
    """
    import onnx

    with tempfile.TemporaryDirectory(prefix="c10-") as folder:
        path = Path(folder, "model.onnx")
        Path(folder, PLACE).touch()  # the checker requires the file of the external data to exist
        path.write_bytes(model.proto.SerializeToString())
        try:
            onnx.checker.check_model(str(path), full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, RuntimeError, ValueError) as error:
            return str(error).strip()
    return ""
