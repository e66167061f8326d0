"""The benchmarks run and measure what they say, in a short form. How fast anything is, is asserted nowhere."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
#: The least that still gives every row: one measured round after the warm-up, of three verifications.
SIZES = ["--engines", "2", "--verify-rounds", "3", "--rounds", "1", "--start-rounds", "1"]
SIZES += ["--cold-rounds", "1", "--convert-rounds", "1", "--synthetic-mb", "5", "--synthetic-blocks", "2"]

pytestmark = pytest.mark.process  # by the benchmarks' own modules
strace = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace (Debian: strace)")


@pytest.fixture(scope="module", autouse=True)
def modules() -> Iterator[None]:
    """Make the benchmarks' own modules importable, as they are for run.py."""
    before = dict(sys.modules)
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))
    for name in sys.modules.keys() - before.keys():
        if str(BENCHMARKS) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def work(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory whose measured Pythons find their modules compiled already, once for all of these tests."""
    compiled = tmp_path_factory.getbasetemp().parent / "benchmarks-pycache"
    compiled.mkdir(exist_ok=True)
    (tmp_path / "pycache").symlink_to(compiled)
    return tmp_path


def benchmark(work: Path, *arguments: str) -> tuple[str, dict[str, Any]]:
    """Run run.py as a user does; return what it printed and the rows by their first column."""
    found = work / "found.json"
    command = [sys.executable, str(BENCHMARKS / "run.py"), "--quick", "--work", str(work), "--json", str(found), *SIZES]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(found.read_text("utf-8"))["rows"]
    return done.stdout, {row["what"]: row for row in rows}


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Do not wait for the files of a corpus to settle; return the seconds that would have been waited."""
    import corpora

    asked: list[float] = []
    monkeypatch.setattr(corpora.time, "sleep", asked.append)
    return asked


@strace
def test_a_warm_run_is_compared_and_its_reads_are_counted(work: Path) -> None:
    printed, rows = benchmark(work, "--only", "warm", "--peers", "sha256sum -c")
    assert "warm `doit engines`, 2 engines of 2 MB" in rows
    (peer,) = (row for what, row in rows.items() if what.startswith("the same, against sha256sum -c"))
    assert peer["note"] == "it reads 100% of the bytes"
    assert rows["bytes of ONNX read when nothing changed"]["measured"] == "0"
    assert rows["bytes of engines read"]["measured"] == "1.000 × B"
    assert all(f"| {what} |" in printed for what in rows)
    assert "- warm: other work took " in printed


def test_many_engines_a_start_a_verification_and_a_load_are_measured(work: Path) -> None:
    _, rows = benchmark(work, "--only", "many", "start", "verify", "load", "--many", "10")
    expected = {
        "warm, 10 engines of 10 kB",
        "cost of one more, 2 to 10, over 1 to 2",
        "`doit list`, 10 engines",
        "`doit info`, 10 engines",
        "warm `doit engines`, 10 engines, against `-r zero`",
        "one verification of 2 MB, p99 of 3",
        "`load_engine`, 2 MB",
        "`load_engine`, 2 MB, peak memory",
    }
    assert expected <= rows.keys()
    assert not [row for row in rows.values() if "not run" in row["note"]]


def test_growth_is_measured_for_each_count_with_each_size(work: Path) -> None:
    _, rows = benchmark(work, "--only", "growth", "--many", "2")
    grid = [f"{count} × {kb} kB" for kb in (1, 10, 100) for count in (1, 2)]
    parallel = [f"`-n 2`, {engines}, over the serial run" for engines in ("2 × 2000 kB", "2 × 10 kB")]
    assert list(rows) == [*grid, *parallel]


def test_the_cold_build_and_the_script_make_the_same_engine_converted_or_not(work: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="needs TensorRT-RTX: pip install 'c10[rtx]'")
    _, rows = benchmark(work, "--only", "cold")
    fp32, fp16 = (rows[f"whole cold build of a ViT of 5 MB at {precision}"] for precision in ("fp32", "fp16"))
    assert fp32["goal"] == "≤ 1.03 × script + 0.3 s"
    assert fp16["goal"] == "≤ 1.03 × (script + conversion alone) + 0.3 s"
    size_of = r"both engines \((\d+) MB\) are the same bytes"
    larger, smaller = (re.search(size_of, build["note"]) for build in (fp32, fp16))
    assert larger is not None
    assert smaller is not None
    assert int(larger[1]) > int(smaller[1])


def test_the_conversion_is_compared_with_a_script_and_with_itself(work: Path) -> None:
    _, rows = benchmark(work, "--only", "convert", "--nodes", "320")
    assert list(rows) == [
        "conversion of a ViT of 5 MB to fp16",
        "conversion of 320 nodes",
        "conversion of 640 nodes over 320",
    ]


def test_the_script_and_the_conversion_round_all_weights_of_the_synthetic_network(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    from convert import vision_transformer

    from c10 import convert_network

    network = vision_transformer(tmp_path / "network.onnx", 1, 2)
    result = convert_network(network, tmp_path / "converted.onnx", precision="fp16")
    assert result.weight_share == 1
    script = [sys.executable, str(BENCHMARKS / "by_hand.py"), str(network), str(tmp_path / "by_hand.onnx")]
    subprocess.run(script, check=True)
    ours, theirs = (
        {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(tmp_path / name).graph.initializer}
        for name in ("converted.onnx", "by_hand.onnx")
    )
    assert ours.keys() == theirs.keys()
    assert {values.dtype.name for values in ours.values()} == {"float16", "int64"}
    assert all((ours[name] == theirs[name]).all() for name in ours)


def test_a_corpus_is_reused_and_made_anew_for_other_sizes(work: Path, waits: list[float]) -> None:
    from corpora import make

    engine = work / make(work, 1, 1000, 10).folder / "engines"
    before = {path.name: path.stat().st_mtime_ns for path in engine.glob("*.engine")}
    assert len(before) == 1
    make(work, 1, 1000, 10)
    assert {path.name: path.stat().st_mtime_ns for path in engine.glob("*.engine")} == before
    assert len(waits) == 1  # only what was just made has to settle
    make(work, 1, 1000, 3000)
    assert {path.name: path.stat().st_mtime_ns for path in engine.glob("*.engine")} != before
    (model,) = (engine.parent / "models").iterdir()
    assert 3000 < model.stat().st_size < 3010


@strace
@pytest.mark.parametrize("way", ["read", "mmap"])
def test_bytes_read_counts_each_way_to_read(tmp_path: Path, way: str) -> None:
    from measure import Command, bytes_read

    (tmp_path / "a.engine").write_bytes(bytes(10_000))
    (tmp_path / "b.onnx").write_bytes(bytes(500))
    ways = {
        "read": "import os; f = os.open('a.engine', 0); os.read(f, 6000); os.pread(f, 5000, 0)",
        "mmap": "import mmap; f = open('a.engine', 'rb'); mmap.mmap(f.fileno(), 10000, access=mmap.ACCESS_READ)",
    }
    command = Command([sys.executable, "-c", ways[way]], tmp_path, {})
    expected = {"read": 11_000, "mmap": 10_000}[way]
    assert bytes_read(command, (".engine", ".onnx"), tmp_path) == {".engine": expected, ".onnx": 0}


def test_a_command_that_fails_is_no_measurement(tmp_path: Path) -> None:
    from measure import Command

    with pytest.raises(RuntimeError, match="exit status 3: broken"):
        Command([sys.executable, "-c", "print('broken'); raise SystemExit(3)"], tmp_path, {}).run()


def test_peak_memory_is_that_of_all_processes_together(tmp_path: Path) -> None:
    from measure import Command

    hold = "import time; data = b'x' * {}; time.sleep(0.5)"
    both = f"import subprocess, sys; data = b'x' * 60_000_000; subprocess.run([sys.executable, '-c', {hold!r}])"
    tree = Command([sys.executable, "-c", both.replace("{}", "80_000_000")], tmp_path, {}).run_tree()
    assert tree.peak_mb > 140_000_000 / 2**20


def test_a_goal_is_met_by_the_median() -> None:
    from measure import Spread
    from table import Row, render

    spread = Spread.of([0.5, 3.0, 1.0])
    assert (spread.median, spread.low, spread.high) == (1.0, 0.5, 3.0)
    row = Row("what", "goal", "measured", spread)
    assert row.met == "yes"
    assert Row("what", "goal", "measured", Spread.of([1.01])).met == "no"
    assert "| what | goal | measured | 1.00 (0.50–3.00) | yes |  |" in render([row])


def test_a_corpus_s_models_are_well_formed_and_of_their_size(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    from corpora import _write_onnx

    for size in (10, 300, 3_000_000):
        model = tmp_path / f"{size}.onnx"
        _write_onnx(model, size)
        field = b"\x32"  # doc_string, of random bytes: no text, so it is looked at as bytes
        content = model.read_bytes()
        assert content[:3] == b"\x08\x08" + field
        assert size < len(content) < size + 10
        checked = content.replace(content[-size:], b"x" * size)
        assert len(onnx.load_from_string(checked).doc_string) == size


def test_other_work_is_what_others_do(monkeypatch: pytest.MonkeyPatch) -> None:
    import machine

    others = machine.OtherWork()
    others._started -= 1  # of an instant, one tick of another process would be many times all of it
    busy, own = machine._busy_s(), machine._own_s()
    monkeypatch.setattr(machine, "_busy_s", lambda: busy + 1000)
    monkeypatch.setattr(machine, "_own_s", lambda: own + 1000)
    assert others.share < 100  # all of it was our own
    monkeypatch.setattr(machine, "_own_s", lambda: own)
    assert others.share > 100


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    import machine

    clock = iter(range(0, 10_000, 5))
    monkeypatch.setattr(machine.time, "sleep", lambda _: None)
    monkeypatch.setattr(machine.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(machine, "_own_s", lambda: 0.0)
    busy = iter(range(0, 10_000_000, 100))
    monkeypatch.setattr(machine, "_busy_s", lambda: next(busy))
    machine.wait_for_quiet(60)
    asked = next(busy) // 100
    assert asked > 2
    monkeypatch.setattr(machine, "_busy_s", lambda: 0.0)
    machine.wait_for_quiet(60)
    assert next(busy) // 100 == asked + 1


def test_cases_alternate() -> None:
    from measure import Sample, alternate

    order: list[str] = []

    def case(name: str) -> Sample:
        order.append(name)
        return Sample(1, 1, 1)

    runs = alternate(2, lambda: case("a"), lambda: case("b"), warm_up=1)
    assert "".join(order) == "ab" * 3
    assert len(runs) == 2


def test_no_setting_of_the_shell_slows_the_measured_python_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from measure import Command

    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    Command([sys.executable, "-c", "import sys; sys.exit(sys.dont_write_bytecode)"], tmp_path, {}).run()
