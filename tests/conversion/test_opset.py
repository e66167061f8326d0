"""A network whose operator set is raised stays one in which every name means one thing."""

from __future__ import annotations

from pathlib import Path

import onnx

from c10.conversion import convert_network

#: Attributes that later became inputs: the version converter adds integers to one branch and floats to the other.
BRANCHES = """<ir_version: 8, opset_import: ["": 10]>
    g (float[2,8] x, bool c) => (float[1,1] y) {
      y = If (c) <
        then_branch = t () => (float[1,1] a) { p = Relu (x) a = ReduceMean <axes = [0, 1]> (p) },
        else_branch = e () => (float[1,1] b) { q = Clip <min = 0.0, max = 6.0> (x) b = ReduceMean <axes = [0, 1]> (q) }>
    }"""


def test_constants_that_raising_the_operator_set_adds_have_names_of_their_own(tmp_path: Path) -> None:
    onnx.save(onnx.parser.parse_model(BRANCHES), tmp_path / "given.onnx")
    result = convert_network(tmp_path / "given.onnx", tmp_path / "bf16.onnx", precision="bf16")
    onnx.checker.check_model(tmp_path / "bf16.onnx", full_check=True)
    assert result.converted
    assert result.computing_layers == 4
