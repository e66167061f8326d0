"""Each case is converted, checked in full, and computed by `onnx.reference`, whose fp16 is real, and ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import onnx
import pytest

from c10.conversion import ConversionResult

from .case import Case
from .cases import SHARED
from .comparison import complaint, half_nodes
from .constant_cases import CONSTANTS
from .converting import Precision, converted
from .evaluators import Run, graphs, is_missing, onnxruntime, reference
from .picture_cases import PICTURES
from .position_cases import POSITION_CASES
from .scope_cases import SCOPE_CASES
from .type_cases import TYPE_CASES
from .value_cases import VALUE_CASES

CASES = {
    case.name: case
    for case in (*SHARED, *VALUE_CASES, *PICTURES, *POSITION_CASES, *CONSTANTS, *SCOPE_CASES, *TYPE_CASES)
}
#: bf16 has 8 digits where fp16 has 11.
_COARSER = 8
#: Instead of the range of an output that is 0 everywhere.
_TINY = 1e-12
#: From this IR version on an initializer is an input only if a caller may give another value.
_DEFAULTS_IR = 4

every_case = pytest.mark.parametrize("name", CASES)
both = pytest.mark.parametrize("precision", ["fp16", "bf16"])


@cache
def made(name: str, precision: Precision) -> tuple[onnx.ModelProto, ConversionResult]:
    """Return a converted case and what the converter says of it; each is converted once."""
    return converted(CASES[name].build(), precision)


@both
@every_case
def test_valid_with_the_same_inputs_and_outputs(name: str, precision: Precision) -> None:
    before, (after, result) = CASES[name].build(), made(name, precision)
    assert complaint(after) == complaint(before)
    assert _face(before, before.graph.input) == _face(after, after.graph.input)
    assert _face(before, before.graph.output) == _face(after, after.graph.output)
    assert all(kept.operator and kept.reason for kept in result.kept)
    assert 0 <= result.weight_share <= 1


@both
@pytest.mark.parametrize("name", [case.name for case in CASES.values() if case.reference])
def test_right_by_reference(name: str, precision: Precision) -> None:
    _compare(CASES[name], precision, reference)


@both
@pytest.mark.parametrize("name", [case.name for case in CASES.values() if case.onnxruntime])
def test_right_by_onnxruntime(name: str, precision: Precision) -> None:
    try:
        _compare(CASES[name], precision, onnxruntime)
    except Exception as error:
        # A missing kernel is told after the types were checked. Of bf16 ONNX Runtime has few.
        if precision == "fp16" or not is_missing(error):
            raise


@both
@pytest.mark.parametrize("name", [case.name for case in CASES.values() if case.half])
def test_what_fp16_holds_computes_in_half(name: str, precision: Precision) -> None:
    after, result = made(name, precision)
    half = {id(node): node for node in half_nodes(after)}
    counts = {kind: sum(node.op_type == kind for node in half.values()) for kind in CASES[name].half}
    all_of = {
        kind: sum(node.op_type == kind for graph in graphs(after.graph) for node in graph.node) for kind in counts
    }
    assert counts == all_of, result.kept
    assert result.converted


@both
@pytest.mark.parametrize("name", [case.name for case in CASES.values() if case.converted is False])
def test_what_has_nothing_to_convert_stays(name: str, precision: Precision) -> None:
    after, result = made(name, precision)
    assert not result.converted
    assert after == CASES[name].build()


@pytest.mark.parametrize("name", ["already-fp16/autocast", "already-fp16/constants"])
def test_what_is_fp16_already_is_taken_as_it_is(name: str) -> None:
    after, result = made(name, "fp16")
    assert not result.converted
    assert [node.op_type for node in after.graph.node] == [node.op_type for node in CASES[name].build().graph.node]


def _compare(case: Case, precision: Precision, run: Run) -> None:
    after, _ = made(case.name, precision)
    tolerance = case.tolerance * (1 if precision == "fp16" else _COARSER)
    for number, feeds in enumerate(case.feeds):
        expected = _right(case, number)
        for index, (a, b) in enumerate(zip(expected, run(after, feeds), strict=True)):
            _assert_close(a, b, tolerance, f"{case.name}, feeds {number}, output {index}")


@cache
def _originals(name: str) -> list[list[Any]]:
    case = CASES[name]
    proto = case.build()
    run = onnxruntime if case.onnxruntime and not case.reference else reference
    return [run(proto, feeds) for feeds in case.feeds]


def _right(case: Case, number: int) -> Sequence[Any]:
    computed = _originals(case.name)[number]
    known = case.right[number] if case.right else (None,) * len(computed)
    return [b if a is None else a for a, b in zip(known, computed, strict=True)]


def _assert_close(expected: Any, got: Any, tolerance: float, where: str) -> None:
    a, b = np.asarray(expected), np.asarray(got)
    assert (a.dtype, a.shape) == (b.dtype, b.shape), where
    if a.dtype.kind != "f":
        np.testing.assert_array_equal(b, a, where)
        return
    found = _of_range(a.astype(np.float64), b.astype(np.float64))
    assert found <= tolerance, f"{where}: deviates by {found:.3g} of the range; {b.ravel()[:4]} for {a.ravel()[:4]}"


def _of_range(a: Any, b: Any) -> float:
    """Return the largest deviation as a part of the range, zero included; infinity where only one is finite."""
    finite = a[np.isfinite(a)]
    span = float(finite.max(initial=0) - finite.min(initial=0))
    with np.errstate(all="ignore"):
        off = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0, np.abs(a - b) / max(span, _TINY))
    return float(np.nan_to_num(off, nan=np.inf, posinf=np.inf).max(initial=0))


def _face(proto: onnx.ModelProto, values: Sequence[onnx.ValueInfoProto]) -> list[tuple[str, bytes]]:
    """Return names and types; before IR 4 without the initializers, which have to be inputs there."""
    constants = {tensor.name for tensor in proto.graph.initializer}
    hidden = constants & {value.name for value in proto.graph.input} if proto.ir_version < _DEFAULTS_IR else set()
    return [(v.name, v.type.SerializeToString(deterministic=True)) for v in values if v.name not in hidden]
