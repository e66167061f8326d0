"""Numbers, durations and tables as people read them."""

from __future__ import annotations

import pytest

from c10.console.text import age, count, megabytes, printable, seconds, table

MINUTE, HOUR, DAY = 60, 3600, 86400


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0.0 MB"), (1, "<0.1 MB"), (49_999, "<0.1 MB"), (50_000, "0.1 MB"), (2_700_000, "2.7 MB")],
)
def test_a_file_that_is_not_empty_never_has_zero_megabytes(size: int, words: str) -> None:
    assert megabytes(size) == words


@pytest.mark.parametrize(
    ("duration", "words"),
    [
        (None, ""),
        (0.04, "0.0 s"),
        (2.44, "2.4 s"),
        (119.9, "119.9 s"),
        (120, "2 min 0 s"),
        (200.4, "3 min 20 s"),
        (2 * HOUR - 1, "119 min 59 s"),
        (2 * HOUR - 0.4, "2 h 0 min"),  # rounded before it is split
        (2 * HOUR + 5 * MINUTE + 59, "2 h 5 min"),
    ],
)
def test_a_duration_changes_its_unit_at_two_of_the_larger(duration: float | None, words: str) -> None:
    assert seconds(duration) == words


@pytest.mark.parametrize(
    ("duration", "words"),
    [
        (-3, "0 seconds"),  # a clock that was set back
        (1.9, "1 second"),
        (119, "119 seconds"),
        (120, "2 minutes"),
        (2 * HOUR - 1, "119 minutes"),
        (2 * HOUR, "2 hours"),
        (2 * DAY - 1, "47 hours"),
        (3 * DAY, "3 days"),
    ],
)
def test_an_age_is_in_the_largest_unit_of_which_there_are_two(duration: float, words: str) -> None:
    assert age(duration) == words


def test_one_is_singular_and_none_is_not() -> None:
    assert [count(number, "engine") for number in (0, 1, 2)] == ["0 engines", "1 engine", "2 engines"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [("größe.onnx", "größe.onnx"), ("a\x1b[31m", r"a\x1b[31m"), ("a\nb", r"a\nb"), ("a\u202eb", r"a\u202eb")],
)
def test_a_file_name_cannot_steer_a_terminal(name: str, shown: str) -> None:
    assert printable(name) == shown


def test_columns_are_aligned_and_no_line_ends_in_spaces() -> None:
    rows = [("engine", "size", "why"), ("a", "10", ""), ("longer name", "5", "gone")]
    assert table(rows, right=[1]) == ["engine       size  why", "a              10", "longer name     5  gone"]
