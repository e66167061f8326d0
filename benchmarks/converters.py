"""Four converters of ONNX to fp16 over ONNX's own backend test models, side by side in one run.

    python benchmarks/converters.py [--every N]

prints a Markdown table. What is counted, and how, is tests/conversion/backend_models.py and comparison.py: the 1,292
models with an fp32 input that ONNX Runtime's CPU provider runs. A converter that is not installed is told as such:
onnxconverter-common and onnxruntime come from PyPI, AutoCast with `pip install nvidia-modelopt[onnx] torch` (5.4 GB).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import onnx
from conversion import backend_models
from conversion.comparison import Original, classify
from conversion.converting import convert
from conversion.evaluators import is_random

Convert = Callable[[onnx.ModelProto], onnx.ModelProto]


@dataclass(frozen=True)
class Converter:
    """``load`` returns what converts a model, and raises ImportError where its package is missing.

    ``full_check``: whether a result that `onnx.checker` refuses is invalid, though ONNX Runtime takes it.
    """

    name: str
    load: Callable[[], Convert]
    full_check: bool = True


@dataclass
class Line:
    """One line of the table."""

    converter: Converter
    convert: Convert | None
    verdicts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def judge(self, original: Original) -> None:
        """Convert one model and add its verdict."""
        if self.convert is None:
            return
        started = time.perf_counter()
        made = _attempt(self.convert, original.proto)
        self.seconds += time.perf_counter() - started
        outcome = classify(original, made, full_check=self.converter.full_check)
        by_reference = outcome.judge == "onnx.reference"
        self.verdicts["not implemented by ONNX Runtime" if by_reference else outcome.verdict] += 1

    def cells(self) -> list[str]:
        """Return the line's cells."""
        if self.convert is None:
            return [self.converter.name, "not installed", *[""] * len(COLUMNS)]
        return [self.converter.name, *(f"{self.verdicts[column]:,}" for column in COLUMNS), f"{self.seconds:.1f} s"]


def _c10() -> Convert:
    return lambda proto: convert(proto, "fp16")


def _onnxconverter_common() -> Convert:
    from onnxconverter_common.float16 import convert_float_to_float16  # type: ignore[import-untyped]

    return lambda proto: convert_float_to_float16(_copy(proto), keep_io_types=True)


def _onnxruntime() -> Convert:
    from onnxruntime.transformers.float16 import (  # type: ignore[import-untyped]
        convert_float_to_float16,
    )

    return lambda proto: convert_float_to_float16(_copy(proto), keep_io_types=True)


def _autocast() -> Convert:
    from modelopt.onnx.autocast import convert_to_mixed_precision  # type: ignore[import-not-found]

    def converted(proto: onnx.ModelProto) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.onnx")
            path.write_bytes(proto.SerializeToString())
            return convert_to_mixed_precision(str(path), low_precision_type="fp16", keep_io_types=True)

    return converted


COLUMNS = ("right", "left in fp32, right", "invalid", "raised", "wrong", "not implemented by ONNX Runtime")
CONVERTERS = (
    Converter("c10", _c10),
    Converter("onnxconverter-common, bare", _onnxconverter_common),
    Converter("ONNX Runtime's transformers.float16", _onnxruntime),
    Converter("the same, without the full check", _onnxruntime, full_check=False),
    Converter("NVIDIA Model Optimizer AutoCast", _autocast),
)


def main(arguments: list[str]) -> int:
    """Run all converters over the models and print the table."""
    options = _options(arguments)
    lines = [Line(converter, _loaded(converter)) for converter in options.only]
    count = 0
    for original in originals(backend_models.names()[:: options.every]):
        count += 1
        for line in lines:
            line.judge(original)
    print(f"{count:,} models of onnx {onnx.__version__}\n\n{render(lines)}")
    return 0


def originals(names: Iterable[str]) -> Iterator[Original]:
    """Yield the models that the figures count."""
    for name in names:
        model = backend_models.load(name)
        original = Original(model.proto, model.feeds)
        if model.counted and not is_random(model.proto) and original.runs:
            yield original


def render(lines: Iterable[Line]) -> str:
    """Return the lines as a Markdown table."""
    head = ["converter", *COLUMNS, "converting took"]
    rows = [head, ["---"] * len(head), *(line.cells() for line in lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _loaded(converter: Converter) -> Convert | None:
    try:
        return converter.load()
    except ImportError:
        return None


def _attempt(convert: Convert, proto: onnx.ModelProto) -> onnx.ModelProto | Exception:
    """Convert a model; an error is an answer. What a converter prints and logs is dropped."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            return convert(proto)
        except Exception as error:  # noqa: BLE001  # any error at all counts as one
            return error


def _copy(proto: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    return copy


def _options(arguments: list[str]) -> argparse.Namespace:
    by_name = {converter.name: converter for converter in CONVERTERS}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only each Nth model by name")
    parser.add_argument("--only", nargs="+", choices=by_name, default=list(by_name), metavar="NAME")
    options = parser.parse_args(arguments)
    options.only = [by_name[name] for name in options.only]
    return options


if __name__ == "__main__":
    logging.disable()
    sys.exit(main(sys.argv[1:]))
