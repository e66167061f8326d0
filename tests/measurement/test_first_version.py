"""What c10's first version made of these networks, and built without a word, is reported.

The files of ``first_version`` are the fp16 networks that c10 at ca2653e made of the cases of the same name; nobody can
make them with a later one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import onnx
import pytest
from conversion.cases import SHARED
from conversion.converting import convert

from .measuring import measured

CASES: Final = {case.name: case for case in SHARED}
FOLDER: Final = Path(__file__).with_name("first_version")
#: A tolerance that a converted network can be held to, as part of an output's range.
TOLERANCE: Final = 0.005
#: The case; what is said of it with the samples that show the fault; whether the synthetic inputs show it too.
WRONG: Final = [
    ("fp16-clip/scale", "35.6 % of its range", True),
    ("fp16-clip/divide", "330 % of its range", True),
    ("fp16-clip/batchnorm", "645 % of its range", True),
    ("fp16-clip/logfloor", "1.03e+03 % of its range", False),
    ("fp16-lengths/frames", "output frames: deviates by 9.22e+18", False),
    ("fp16-lengths/crop", "another type or shape than the original's for 4 inputs", False),
    ("fp16-misc/ln_decomposed", "55.1 % of its range", False),
    ("fp16-misc/bigcast", "values were finite and are NaN or infinite now", False),
    ("loop-shadow/loop_samename", "80.7 % of its range", True),
]


def first_version(name: str) -> onnx.ModelProto:
    return onnx.load(FOLDER / f"{name.replace('/', '__')}.onnx")


def test_each_file_is_in_the_table() -> None:
    assert {path.stem.replace("__", "/") for path in FOLDER.iterdir()} == {name for name, _, _ in WRONG}


@pytest.mark.parametrize(("name", "words", "synthetic"), WRONG)
def test_what_was_wrong_in_silence_misses_the_tolerance(
    name: str,
    words: str,
    synthetic: bool,  # noqa: FBT001 - a column
    tmp_path: Path,
) -> None:
    case = CASES[name]
    report = measured(tmp_path, case.build(), first_version(name), case.feeds)
    assert any(words in sentence for sentence in report.missed(TOLERANCE)), report.missed(TOLERANCE)
    assert report.warnings()
    for sample in tmp_path.glob("sample*"):
        sample.unlink()
    if name != "fp16-lengths/crop":  # its length is free
        (tmp_path / "second").mkdir()
        assert bool(measured(tmp_path / "second", case.build(), first_version(name)).warnings()) == synthetic


@pytest.mark.parametrize("name", [name for name, _, _ in WRONG])
def test_what_c10_makes_of_it_now_is_within_the_tolerance(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    report = measured(tmp_path, case.build(), convert(case.build(), "fp16"), case.feeds)
    assert report.inputs == len(case.feeds)
    assert report.missed(TOLERANCE) == ()
