"""ONNX's own backend test models through the whole of c10, against TensorRT-RTX's builder called by hand.

Where the builder gives an engine of the model as it is, c10 gives one at each precision, or refuses the model by its
precision. No model at all crashes it, hangs it or makes it raise what it has no words for.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from c10.corpus.spec import Precision

from . import backend_models
from .backend_models import BackendModel
from .building import BuildProcess, Outcome
from .converting import _memory

pytestmark = pytest.mark.skipif(
    find_spec("tensorrt_rtx") is None, reason="TensorRT-RTX is not installed (the extra `rtx`)"
)
#: Precision, and more engines than this: TensorRT-RTX 1.7 gives 1,027 by hand.
PRECISIONS: dict[Precision, int] = {"fp32": 1000, "fp16": 650, "bf16": 600}
_ANSWERS = {"engine", "refused"}
_ERRORS = {*_ANSWERS, "failed"}


@dataclass(frozen=True)
class Row:
    """One model: what the builder made of it by hand, and c10 at each precision."""

    name: str
    by_hand: Outcome
    by_c10: Mapping[Precision, Outcome]

    @property
    def faults(self) -> list[str]:
        """What c10 did that it may not; an error of its own is an answer where the builder has no engine either."""
        right = _ANSWERS if self.by_hand.ending == "engine" else _ERRORS
        if self.by_hand.ending in {"crashed", "hung"}:
            right = {*right, self.by_hand.ending}  # TensorRT's own
        found = self.by_c10.items()
        return [f"{self.name} at {at}: {o.ending}: {o.why}" for at, o in found if o.ending not in right]


@pytest.mark.soak
@pytest.mark.timeout(3 * 3600)
def test_c10_builds_or_refuses_what_the_builder_builds() -> None:
    rows = list(built_rows(backend_models.names()))
    for words in figures(rows):
        print(words)  # noqa: T201  # shown with -rP
    assert not (faults := [words for row in rows for words in row.faults]), "\n".join(faults)
    engines = Counter(at for row in rows for at, outcome in row.by_c10.items() if outcome.ending == "engine")
    assert all(engines[at] > fewest for at, fewest in PRECISIONS.items()), engines  # refusing everything is no answer


def built_rows(names: Iterable[str]) -> Iterator[Row]:
    """Build each model by hand and by c10. A fault counts if a fresh process shows it too."""
    with closing(BuildProcess()) as process, tempfile.TemporaryDirectory(dir=_memory()) as folder:
        path = Path(folder, "model.onnx")
        for model in map(backend_models.load, names):
            path.write_bytes(model.proto.SerializeToString())
            row = _built(process, model, path)
            if row.faults:
                process.close()
                row = _built(process, model, path)
            yield row


def _built(process: BuildProcess, model: BackendModel, path: Path) -> Row:
    by_hand = process.by_hand(path, model.feeds)
    by_c10 = {precision: process.by_c10(path, precision, by_hand.profiles) for precision in PRECISIONS}
    return Row(model.name, by_hand, by_c10)


def figures(rows: Iterable[Row]) -> list[str]:
    """Return how the builds ended, by what the builder made of the model by hand, a line each."""
    counts: Counter[str] = Counter()
    for row in rows:
        hand = f"by hand {row.by_hand.ending}"
        counts[hand] += 1
        counts.update(f"{hand}, c10 at {precision} {o.ending}" for precision, o in row.by_c10.items())
    return [f"{counts[words]:5} {words}" for words in sorted(counts)]
