"""docs/precision.md: its table is the code's, and its samples run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from networks import matmul_network

from c10.conversion import policy

PAGE = (Path(__file__).parents[2] / "docs" / "precision.md").read_text("utf-8")


def kept_table() -> list[str]:
    """Return the rows of the table of operators, by reason."""
    rows: dict[tuple[str, str], list[str]] = {}
    for operator, kept in policy.KEPT.items():
        only = " (input)" if operator in policy.ONLY_INPUTS else ""
        rows.setdefault((kept.reason, kept.source), []).append(f"{operator}{only}")
    return [f"| {', '.join(operators)} | {reason} | {source} |" for (reason, source), operators in rows.items()]


def test_the_table_of_operators_is_the_codes() -> None:
    table = re.search(r"<!-- kept table -->\n.*?\n.*?\n(.*?)\n\n", PAGE, re.DOTALL)
    assert table is not None
    assert table[1].splitlines() == kept_table()


def test_the_limits_are_the_codes() -> None:
    assert f"more than {policy.SMALL_CONSTANT} elements" in PAGE
    assert f"more than {policy.SHORT_AXIS} elements" in PAGE
    assert f"more than {policy.ROUNDING_MAX:.0%}".replace("%", " %") in PAGE
    assert f"exactly up to {policy.WHOLE_MAX['fp16']}" in PAGE
    assert f"exactly up to {policy.WHOLE_MAX['bf16']}" in PAGE


def test_the_python_sample_runs(tmp_path: Path) -> None:
    sample = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert sample is not None
    model, output = matmul_network(tmp_path / "m.onnx"), tmp_path / "out.onnx"
    code = re.sub(r'"models/.*?"', repr(str(model)), sample[1])
    code = re.sub(r'"/tmp/.*?"', repr(str(output)), code)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "100.0% of the weights in fp16\n"
    assert output.is_file()
