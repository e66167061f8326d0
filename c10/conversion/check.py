"""Is a model valid ONNX? The full checker, with type inference, on the model without its weights."""

from __future__ import annotations

import tempfile
from pathlib import Path

from c10.conversion.model import PLACE, Model


def problem_of(model: Model) -> str:
    """Return what `onnx.checker` says against a model, types of all values included; "" if it is valid.

    The weights are left out: the checker looks at their types and shapes and never at their values.
    """
    import onnx

    with tempfile.TemporaryDirectory(prefix="c10-") as folder:
        path = Path(folder, "model.onnx")
        Path(folder, PLACE).touch()  # the checker asks whether external data is there
        path.write_bytes(model.proto.SerializeToString())
        try:
            onnx.checker.check_model(str(path), full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, RuntimeError, ValueError) as error:
            return str(error).strip()
    return ""
