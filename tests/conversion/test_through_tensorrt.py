"""ONNX's own backend test models through the whole of c10, against TensorRT-RTX's builder called by hand.

Where the builder gives an engine of the model as it is, c10 gives one, at fp32 and at fp16, or refuses the model by its
precision. No model at all crashes it, hangs it or makes it raise what it has no words for.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from . import backend_models
from .building import BuildProcess, Outcome
from .converting import _memory

pytestmark = pytest.mark.skipif(
    find_spec("tensorrt_rtx") is None, reason="TensorRT-RTX is not installed (the extra `rtx`)"
)
_ANSWERS = {"engine", "refused"}
_ERRORS = {*_ANSWERS, "failed"}


@dataclass(frozen=True)
class Row:
    """One model: what the builder made of it by hand, and c10 at two precisions."""

    name: str
    by_hand: Outcome
    fp32: Outcome
    fp16: Outcome

    @property
    def faults(self) -> list[str]:
        """What c10 did that it may not; an error of its own is an answer where the builder has no engine either."""
        right = _ANSWERS if self.by_hand.ending == "engine" else _ERRORS
        if self.by_hand.ending in {"crashed", "hung"}:
            right = {*right, self.by_hand.ending}  # TensorRT's own
        found = {"fp32": self.fp32, "fp16": self.fp16}.items()
        return [f"{self.name} at {at}: {o.ending}: {o.why}" for at, o in found if o.ending not in right]


@pytest.mark.soak
@pytest.mark.timeout(3 * 3600)
def test_c10_builds_or_refuses_what_the_builder_builds() -> None:
    rows = list(built_rows(backend_models.names()))
    for words in figures(rows):
        print(words)  # noqa: T201  # shown with -rP
    assert not (faults := [words for row in rows for words in row.faults]), "\n".join(faults)
    assert sum(row.by_hand.ending == "engine" for row in rows) > 900  # otherwise this has shown nothing


def built_rows(names: Iterable[str]) -> Iterator[Row]:
    """Build each model three times."""
    with closing(BuildProcess()) as process, tempfile.TemporaryDirectory(dir=_memory()) as folder:
        path = Path(folder, "model.onnx")
        for name in names:
            model = backend_models.load(name)
            path.write_bytes(model.proto.SerializeToString())
            by_hand = process.by_hand(path, model.feeds)
            fp32, fp16 = (process.by_c10(path, precision, by_hand.profiles) for precision in ("fp32", "fp16"))
            yield Row(name, by_hand, fp32, fp16)


def figures(rows: Iterable[Row]) -> list[str]:
    """Return how the builds ended, by what the builder made of the model by hand, a line each."""
    counts: Counter[str] = Counter()
    for row in rows:
        hand = f"by hand {row.by_hand.ending}"
        counts[hand] += 1
        counts[f"{hand}, c10 at fp32 {row.fp32.ending}"] += 1
        counts[f"{hand}, c10 at fp16 {row.fp16.ending}"] += 1
        counts[f"{hand}, c10 at fp32 {row.fp32.ending}, at fp16 {row.fp16.ending}"] += 1
    return [f"{counts[words]:5} {words}" for words in sorted(counts)]
