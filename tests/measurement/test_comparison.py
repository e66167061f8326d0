"""What is counted when outputs are compared."""

from __future__ import annotations

import sys
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from c10.measurement.comparison import Comparison
from c10.measurement.report import OutputDeviation

NAN, INF = float("nan"), float("inf")


def compared(*pairs: tuple[Any, Any]) -> OutputDeviation:
    comparison = Comparison()
    for expected, found in pairs:
        comparison.add(["y"], [expected], [found])
    assert comparison.inputs == len(pairs)
    (deviation,) = comparison.deviations()
    return deviation


def floats(*values: float) -> Any:
    return np.array(values, np.float32)


def test_the_deviation_is_the_largest_of_all_inputs_over_the_range_of_all() -> None:
    found = compared((floats(0, 1, 2), floats(0, 1.5, 2)), (floats(8, 9, 10), floats(8, 9, 9)))
    assert (found.values, found.largest, found.range, found.part) == (6, 1.0, 10.0, 0.1)
    assert (found.nan, found.infinite, found.lost, found.gained, found.shapes) == (0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("expected", "wide"),
    [
        (floats(5), 5.0),  # one value has no range
        (floats(4, 5), 5.0),
        (floats(-3, -3, -3), 3.0),
        (floats(0, 0, 0), 1.0),
        (floats(1, 2, 4), 3.0),
        (floats(1, INF, NAN, -2), 3.0),  # finite values count
        (floats(NAN, NAN, NAN), 1.0),
        (floats(), 1.0),
    ],
)
def test_what_a_deviation_is_a_part_of(expected: Any, wide: float) -> None:
    assert compared((expected, expected)).range == wide


def test_values_that_are_no_longer_finite_are_counted_and_have_no_deviation() -> None:
    found = compared((floats(1, 2, 3, NAN, INF, -INF), floats(INF, NAN, 3.5, NAN, INF, -INF)))
    assert (found.lost, found.gained, found.nan, found.infinite) == (2, 0, 2, 3)
    assert found.largest == 0.5


def test_values_that_are_finite_in_the_converted_network_alone_are_counted() -> None:
    found = compared((floats(INF, NAN, INF, NAN, 1), floats(65504, 0, -INF, INF, 1)))
    assert (found.gained, found.lost, found.largest) == (4, 0, 0.0)


def test_the_cosine_is_the_smallest_of_all_inputs() -> None:
    assert compared((floats(1, 0), floats(1, 0)), (floats(1, 0), floats(1, 1))).cosine == 0.707107
    assert compared((floats(1, 2), floats(-1, -2))).cosine == -1
    assert compared((floats(3e38, 3e38, INF), floats(3e38, 3e38, 1))).cosine == 1
    assert compared((floats(0, 0), floats(0, 0))).cosine == 1
    assert compared((floats(0, 0), floats(0, 1))).cosine is None
    assert compared((floats(NAN), floats(NAN))).cosine is None


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (floats(1, 2), floats(1, 2, 3)),
        (floats(1), np.array([1])),  # an integer is no float
        (np.array([1]), np.array([True])),
        (floats(1), None),
    ],
)
def test_another_type_or_shape_is_counted(expected: Any, found: Any) -> None:
    deviation = compared((expected, found), (floats(1, 2), floats(1, 2)))
    assert (deviation.shapes, deviation.values) == (1, 2)


def test_types_of_one_kind_are_compared() -> None:
    half, bf16 = floats(1, 2).astype(np.float16), floats(1, 2).astype(ml_dtypes.bfloat16)
    assert compared((half, floats(1, 2))).shapes == compared((bf16, floats(1, 2))).shapes == 0
    integers = compared((np.array([3, 9, 5]), np.array([3, 8, 5])))
    assert (integers.largest, integers.part) == (1.0, 0.166667)
    booleans = compared((np.array([True, False, True]), np.array([True, True, True])))
    assert (booleans.largest, booleans.part) == (1.0, 1.0)
    texts = compared((np.array(["a", "b"], object), np.array(["a", "c"], object)))
    assert texts.largest == 1.0


def test_the_tensors_of_a_sequence_are_compared_one_by_one() -> None:
    comparison = Comparison()
    comparison.add(["s"], [[floats(1), floats(2)]], [[floats(1), floats(3), floats(4)]])
    assert [(d.name, d.largest, d.shapes) for d in comparison.deviations()] == [
        ("s[0]", 0.0, 0),
        ("s[1]", 1.0, 0),
        ("s[2]", 0.0, 1),
    ]


def test_the_numbers_of_a_report_are_finite() -> None:
    found = compared((np.array([1.7e308, -1.7e308, 0]), np.array([-1.7e308, 1.7e308, 0])))
    assert found.largest == found.range == sys.float_info.max


@given(st.lists(st.floats(width=32), max_size=20))
def test_an_output_beside_itself_deviates_by_nothing(values: list[float]) -> None:
    found = compared((floats(*values), floats(*values)))
    assert (found.largest, found.part, found.lost, found.gained, found.shapes) == (0, 0, 0, 0, 0)


@given(st.lists(st.tuples(st.floats(width=32), st.floats(width=32)), min_size=1, max_size=20))
def test_outputs_that_differ_are_never_reported_as_equal(pairs: list[tuple[float, float]]) -> None:
    a, b = floats(*(a for a, _ in pairs)), floats(*(b for _, b in pairs))
    found = compared((a, b))
    assert np.array_equal(a, b, equal_nan=True) == (not (found.largest or found.lost or found.gained))
