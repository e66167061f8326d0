"""What c10 asks of a runtime beyond ``compile_engine``, and what it assumes if a runtime does not say it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from harness import HOST
from scripted_runtime import Runtime, write

from c10 import BuildConfig, HostCapabilities
from c10.conversion.report import NetworkReport
from c10.files.pieces import PIECE, PieceDigests
from c10.runtimes import isolated
from c10.runtimes.adapter import Compiled, compiled, prepared, stated_kind
from c10.runtimes.messages import CompileJob

UNCHANGED = NetworkReport(types_from="injected runtime")
CONVERTED = NetworkReport(types_from="conversion", share=1.0)
PIECES = PieceDigests(PIECE, ("0" * 64,))


@pytest.mark.parametrize(
    ("said", "kind"),
    [("trt", "trt"), ("rtx", "rtx"), (None, None), ("cuda", None), (7, None), (["trt"], None)],
)
def test_only_a_kind_that_c10_knows_is_taken(said: Any, kind: str | None) -> None:
    assert stated_kind(Runtime(write, said)) == kind


def test_a_runtime_with_compile_engine_alone_compiles_itself() -> None:
    runtime = Runtime(write)
    assert not hasattr(runtime, "kind")
    assert stated_kind(runtime) is None
    assert prepared(runtime, Path("x.engine"), 3) is runtime


def test_a_runtime_may_prepare_another_one_for_an_engine(tmp_path: Path) -> None:
    other, asked = Runtime(write), []

    class Asking(Runtime):
        def for_engine(self, engine_path: Path, lock: int) -> Runtime:
            asked.append((engine_path, lock))
            return other

    assert prepared(Asking(write), tmp_path, 3) is other
    assert asked == [(tmp_path, 3)]


def test_a_builtin_runtime_keeps_lock_and_timing_cache_wherever_it_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs: list[tuple[CompileJob, tuple[int, ...]]] = []

    class Child:
        def __init__(self, job: CompileJob, progress: object, inherit: tuple[int, ...]) -> None:
            del progress
            jobs.append((job, inherit))

        def result(self) -> None:
            """Compile nothing."""

    monkeypatch.setattr(isolated, "_Child", Child)
    runtime = isolated.IsolatedRuntime("trt", replace(HostCapabilities(**HOST), trt_version="10.3.0.26"))
    output = Path("/cache/.x.engine.0123456789abcdef.tmp/x.engine")
    prepared(runtime, Path("/cache/x.engine"), 7).compile_engine(Path("m.onnx"), BuildConfig(precision="fp16"), output)
    ((job, inherit),) = jobs
    assert (job.output_path, inherit) == (output, (7,))
    assert job.timing_cache_path is not None
    assert job.timing_cache_path.parent == Path("/cache/.timing")


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({}, Compiled(sha256="1" * 64, network=UNCHANGED, pieces=None)),
        ({"network": None, "pieces": None}, Compiled(sha256="1" * 64, network=UNCHANGED, pieces=None)),
        ({"network": "fp16", "pieces": ["0"]}, Compiled(sha256="1" * 64, network=UNCHANGED, pieces=None)),
        ({"network": CONVERTED, "pieces": PIECES}, Compiled(sha256="1" * 64, network=CONVERTED, pieces=PIECES)),
    ],
    ids=["absent", "none", "of another type", "stated"],
)
def test_what_an_entry_does_not_say_has_a_default(tmp_path: Path, entry: dict[str, Any], expected: Compiled) -> None:
    runtime: Any = SimpleNamespace(compile_engine=lambda *_, **__: SimpleNamespace(sha256="1" * 64, **entry))
    config = BuildConfig(precision="fp32")
    assert compiled(runtime, tmp_path / "m.onnx", config, tmp_path / "m.engine", lambda _: None) == expected
