"""What to do about an error of the file system: never the same for all of them, and never none."""

from __future__ import annotations

import errno
import os

import pytest

from c10.files.remedies import to_read, to_write


def failure(number: int | None) -> OSError:
    return OSError() if number is None else OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "Free space"),
        (errno.EDQUOT, "within your quota"),
        (errno.EROFS, "mounted read-only"),
        (errno.EACCES, "right to write"),
        (errno.EPERM, "right to write"),
        (errno.ENOTDIR, "is a file and not a directory"),
        (errno.EFBIG, "ulimit -f"),
        (errno.EIO, "do not trust this disk"),
    ],
)
def test_a_write_that_failed_has_the_remedy_of_its_cause(number: int, words: str) -> None:
    assert words in to_write(failure(number))
    assert words in to_write(failure(number), "something else")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "right to read it"),
        (errno.EISDIR, "is a directory"),
        (errno.ELOOP, "form a loop"),
        (errno.EMFILE, "ulimit -n"),
        (errno.EIO, "do not trust this disk"),
    ],
)
def test_a_read_that_failed_has_the_remedy_of_its_cause(number: int, words: str) -> None:
    assert words in to_read(failure(number), "something else")


@pytest.mark.parametrize("number", [None, errno.ENOENT, errno.ENOMEM])
def test_an_error_that_is_not_listed_has_the_callers_remedy(number: int | None) -> None:
    assert to_read(failure(number), "something else") == "something else"
    assert to_write(failure(number), "something else") == "something else"
    assert to_write(failure(number)) == "What was at that path is untouched."
