"""`doit` itself, in a process of its own: what a user types, and what comes back."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import MODELS, TWO_LINES, Corpus, doit, flip_byte, onnx_bytes, onnx_with_external_data, run, snapshot

from c10 import Sha256Sidecar


def said(done: subprocess.CompletedProcess[str]) -> str:
    """Return all that doit wrote; a traceback is never among it."""
    text = done.stdout + done.stderr
    assert "Traceback" not in text, text
    return text


def outcomes(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    return {model: what for what, model in re.findall(r"^(BUILT|REUSED|FAILED) +(\S+):", done.stdout, re.MULTILINE)}


def files_of(corpus: Corpus, model: str) -> list[Path]:
    engine = corpus.engine(model)
    return [engine, Path(f"{engine}.sha256"), Path(f"{engine}.json")]


# doit info


def test_info_of_an_engine_that_is_up_to_date(corpus: Corpus) -> None:
    run("doit", corpus)
    done = corpus.doit("info", "engines:lightglue")
    assert done.returncode == 0
    assert "status     : up-to-date" in said(done)
    assert "intact, and built from exactly these inputs" in done.stdout
    assert Sha256Sidecar.read(corpus.engine("lightglue")) in done.stdout
    assert "models/lightglue.onnx" in done.stdout


def _cut_record(corpus: Corpus) -> None:
    path = files_of(corpus, "lightglue")[2]
    path.write_bytes(path.read_bytes()[:100])


def _swap_records(corpus: Corpus) -> None:
    shutil.copy(files_of(corpus, "aliked")[2], files_of(corpus, "lightglue")[2])


def _truncate_engine(corpus: Corpus) -> None:
    with corpus.engine("lightglue").open("r+b") as file:
        file.truncate(10)


def _remove(index: int) -> Callable[[Corpus], None]:
    return lambda corpus: files_of(corpus, "lightglue")[index].unlink()


def _garbage_sidecar(corpus: Corpus) -> None:
    files_of(corpus, "lightglue")[1].write_bytes(b"\xff\xfe garbage")


def _engine_becomes_directory(corpus: Corpus) -> None:
    corpus.engine("lightglue").unlink()
    corpus.engine("lightglue").mkdir()


def _change_onnx(corpus: Corpus) -> None:
    corpus.onnx("lightglue").write_bytes(onnx_bytes("changed"))


def _remove_onnx(corpus: Corpus) -> None:
    corpus.onnx("lightglue").unlink()


def _change_workspace(corpus: Corpus) -> None:
    corpus.settings["workspace_mb"] = 17
    corpus.write()


DAMAGE: dict[str, tuple[Callable[[Corpus], None], str]] = {
    "engine missing": (_remove(0), "no engine yet"),
    "engine cut": (_truncate_engine, "digest_mismatch: the engine's bytes are not those that its .sha256 names"),
    "byte flipped": (
        lambda corpus: flip_byte(corpus.engine("lightglue")),
        "digest_mismatch: the engine's bytes are not those that its .sha256 names",
    ),
    "engine is a directory": (_engine_becomes_directory, "the engine cannot be read"),
    "sidecar missing": (_remove(1), "sidecar_missing: no .sha256 beside the engine, so its bytes cannot be checked"),
    "sidecar garbage": (_garbage_sidecar, "sidecar_malformed: the .sha256 beside the engine is not a sidecar"),
    "record missing": (_remove(2), "no build record: cannot prove what the engine was built from"),
    "record cut": (_cut_record, "the build record is unreadable: cannot prove what the engine was built from"),
    "record of another": (_swap_records, "the build record belongs to another engine (of aliked__"),
    "ONNX changed": (_change_onnx, "ONNX changed: sha256 "),
    "ONNX missing": (_remove_onnx, "No such file or directory"),
    "workspace changed": (_change_workspace, "workspace (MiB) 4096 → 17"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_info_after_each_kind_of_damage(corpus: Corpus, kind: str) -> None:
    run("doit", corpus)
    damage, words = DAMAGE[kind]
    damage(corpus)
    before = snapshot(corpus.engines)
    done = corpus.doit("info", "engines:lightglue")
    assert done.returncode == 1
    assert words in said(done)
    if kind != "ONNX missing":  # there doit says it in its own words, with a dependency in error
        assert "status     : run" in done.stdout
        (line,) = [line for line in done.stdout.splitlines() if line.startswith("    status")]
        assert f"to be built: {words}" in line
    assert snapshot(corpus.engines) == before  # to ask changes nothing
    if kind != "workspace changed":
        assert corpus.doit("info", "engines:aliked").returncode == 0  # the others are not meant


@pytest.mark.parametrize("kind", [kind for kind in DAMAGE if kind not in {"ONNX missing", "engine is a directory"}])
def test_a_run_mends_each_kind_of_damage(corpus: Corpus, kind: str) -> None:
    run("doit", corpus)
    DAMAGE[kind][0](corpus)
    assert outcomes(corpus.doit("engines:lightglue")) == {"lightglue": "BUILT"}
    assert corpus.doit("info", "engines:lightglue").returncode == 0
    assert Sha256Sidecar.verify(corpus.engine("lightglue"))


def test_info_and_list_without_a_database_say_up_to_date_and_write_nothing(corpus: Corpus) -> None:
    run("EngineCompiler", corpus)
    assert corpus.doit("info", "engines:aliked").returncode == 0
    listed = said(corpus.doit("list", "--all", "--status"))
    assert re.findall(r"^([UR]) engines:(\S+)", listed, re.MULTILINE) == [("U", model) for model in sorted(MODELS)]
    assert corpus.calls() == list(MODELS)  # the ones of the build


# What a new user types


def test_list(corpus: Corpus) -> None:
    done = corpus.doit("list")
    assert done.returncode == 0
    assert said(done) == "engines   TensorRT engines, one per backbone\n"


def test_list_all_status_before_and_after(corpus: Corpus) -> None:
    run("EngineCompiler", corpus)
    flip_byte(corpus.engine("lightglue"))
    listed = said(corpus.doit("list", "--all", "--status"))
    states = dict(re.findall(r"^[UR] engines:(\S+) +(\S+)", listed, re.MULTILINE))
    assert set(states) == set(MODELS)
    assert re.search(r"^R engines:lightglue +fp16 input \[1, 3, 322, 322\] → lightglue__sm87", listed, re.MULTILINE)
    assert re.search(r"^U engines:aliked ", listed, re.MULTILINE)


def test_help_engines(corpus: Corpus) -> None:
    done = corpus.doit("help", "engines")
    assert done.returncode == 0
    assert "TensorRT engines, one per backbone" in said(done)


def test_doit_alone_builds_the_engines(corpus: Corpus) -> None:
    done = corpus.doit()
    assert done.returncode == 0
    assert outcomes(done) == dict.fromkeys(MODELS, "BUILT")


def test_one_engine_by_name(corpus: Corpus) -> None:
    assert outcomes(corpus.doit("engines:lightglue")) == {"lightglue": "BUILT"}
    assert corpus.calls() == ["lightglue"]


def test_one_engine_by_its_file(corpus: Corpus) -> None:
    path = corpus.engine("lightglue").relative_to(corpus.folder)
    assert outcomes(corpus.doit(str(path))) == {"lightglue": "BUILT"}


@pytest.mark.parametrize("name", ["engines:resnet50", "engine", "lightglue"])
def test_a_wrong_name(corpus: Corpus, name: str) -> None:
    done = corpus.doit(name)
    assert done.returncode == 3
    assert f'Invalid parameter: "{name}"' in said(done)


@pytest.mark.parametrize("command", [["engines"], ["list"], ["info", "engines:aliked"], []])
def test_missing_configuration(corpus: Corpus, command: list[str]) -> None:
    (corpus.folder / "backbones.toml").unlink()
    done = corpus.doit(*command)
    assert done.returncode == 3
    assert "backbones.toml: expected a configuration, got No such file or directory" in said(done)
    assert "The README shows a backbones.toml to start from." in said(done)


@pytest.mark.parametrize("command", [["engines"], ["list"], ["info", "engines:aliked"]])
def test_invalid_configuration(corpus: Corpus, command: list[str]) -> None:
    corpus.settings = {"precision": "fp64", "workspce_mb": 1}
    corpus.write()
    done = corpus.doit(*command)
    assert done.returncode == 3
    assert "backbones.toml: precision: expected one of fp32, fp16, bf16, int8, fp8, got 'fp64'" in said(done)
    assert "got unknown key 'workspce_mb'" in said(done)


def test_a_corpus_without_a_backbone_is_said(tmp_path: Path) -> None:
    (tmp_path / "dodo.py").write_text(TWO_LINES, "utf-8")
    (tmp_path / "backbones.toml").write_text("", "utf-8")
    done = doit(tmp_path, "engines")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("The corpus names no backbone: add a [[backbones]] table to backbones.toml.\n")


def test_missing_onnx_fails_that_engine_and_names_the_file(corpus: Corpus) -> None:
    corpus.onnx("lightglue").unlink()
    done = corpus.doit("--continue", "engines")
    assert done.returncode != 0
    assert outcomes(done) == {"dinov2_vpr": "BUILT", "lightglue": "FAILED", "aliked": "BUILT"}
    (line,) = [line for line in said(done).splitlines() if line.startswith("FAILED")]
    assert "models/lightglue.onnx" in line
    assert "No such file or directory" in line


def test_missing_onnx_of_an_engine_that_is_there(corpus: Corpus) -> None:
    run("doit", corpus)
    corpus.onnx("lightglue").unlink()
    before = snapshot(corpus.engines)
    done = corpus.doit("engines")
    assert done.returncode in {1, 2}
    assert "models/lightglue.onnx" in said(done)
    assert outcomes(done)["lightglue"] == "FAILED"
    assert snapshot(corpus.engines) == before


# Lines of a run


def test_lines_of_a_plain_run(corpus: Corpus) -> None:
    cold = corpus.doit("engines")
    *lines, summary = cold.stdout.splitlines()
    assert len(lines) == 3
    assert all(re.fullmatch(r"BUILT  \S+: no engine yet \(\d+\.\d MB in \d+\.\d s\)", line) for line in lines)
    assert re.fullmatch(r"engines: 3 built, 0 reused, 0 failed in \d+\.\d+ s", summary)
    warm = corpus.doit("engines")
    *lines, summary = warm.stdout.splitlines()
    assert all(re.fullmatch(r"REUSED \S+: \d+\.\d MB verified in \d+\.\d+ s", line) for line in lines)
    assert summary.startswith("engines: 0 built, 3 reused, 0 failed in ")
    assert not any(word in summary for word in ("BUILT", "REUSED", "FAILED"))
    assert warm.stderr == ""  # as text only WARNING and above


def test_a_runtime_that_raises_what_it_should_not_shows_where(corpus: Corpus) -> None:
    corpus.failures = {"lightglue": "RuntimeError"}
    done = corpus.write().doit("engines")
    assert done.returncode == 2
    assert "RuntimeError: lightglue: the runtime has a defect" in done.stdout + done.stderr
    assert "fake_runtime.py" in done.stdout + done.stderr  # the traceback is for its author
    assert outcomes(done)["lightglue"] == "FAILED"
    assert not corpus.engine("lightglue").exists()


# Options of doit


def test_always_builds_again(corpus: Corpus) -> None:
    run("doit", corpus)
    forced = run("doit", corpus, "-a")
    assert forced.outcomes == dict.fromkeys(MODELS, "BUILT")
    assert forced.calls == list(MODELS)
    assert {miss.fields["reason"] for miss in forced.events.named("c10.engine.cache.miss")} == {"forced"}
    assert "a rebuild was requested" in forced.stdout


def test_forget_rebuilds_nothing(corpus: Corpus) -> None:
    run("doit", corpus)
    assert corpus.doit("forget", "engines").returncode == 0
    again = run("doit", corpus)
    assert (set(again.outcomes.values()), again.calls) == ({"REUSED"}, [])


def test_clean_removes_the_three_files_and_nothing_else(corpus: Corpus) -> None:
    run("doit", corpus)
    (corpus.engines / "note.txt").write_text("mine")
    assert corpus.doit("clean", "engines:lightglue").returncode == 0
    assert not any(path.exists() for path in files_of(corpus, "lightglue"))
    assert all(path.exists() for model in ("aliked", "dinov2_vpr") for path in files_of(corpus, model))
    assert corpus.doit("clean", "engines").returncode == 0
    assert [path.name for path in corpus.engines.iterdir() if path.name != ".locks"] == ["note.txt"]
    assert set(run("doit", corpus).outcomes.values()) == {"BUILT"}


def test_two_at_a_time(corpus: Corpus) -> None:
    cold = run("doit", corpus, "-n", "2")
    assert cold.rc == 0
    assert cold.outcomes == dict.fromkeys(MODELS, "BUILT")
    assert sorted(cold.calls) == sorted(MODELS)
    assert run("doit", corpus, "-n", "2").outcomes == dict.fromkeys(MODELS, "REUSED")
    assert run("doit", corpus).outcomes == dict.fromkeys(MODELS, "REUSED")


@pytest.mark.parametrize("kind", ["EngineBuildError", "CalibrationCacheError"])
def test_two_at_a_time_with_one_that_fails(corpus: Corpus, kind: str) -> None:
    corpus.failures = {"lightglue": kind}
    done = run("doit", corpus, "-n", "2", "--continue")
    assert done.outcomes == {"dinov2_vpr": "BUILT", "lightglue": "FAILED", "aliked": "BUILT"}
    assert "Traceback" not in done.stdout + done.stderr
    assert done.events.one("c10.engine.compile.error").fields["error_class"] == kind


def test_two_at_a_time_with_a_runtime_that_raises_anything(corpus: Corpus) -> None:
    corpus.failures = {"lightglue": "RuntimeError"}
    done = run("doit", corpus, "-n", "2", "--continue")
    assert done.outcomes == {"dinov2_vpr": "BUILT", "lightglue": "FAILED", "aliked": "BUILT"}
    assert "the runtime has a defect" in done.stdout


def test_plain_doit_reporter_and_backend_work_too(corpus: Corpus) -> None:
    cold = corpus.doit("--reporter", "console", "--backend", "json", "--db-file", ".other.json", "engines")
    assert cold.returncode == 0, cold.stderr
    assert json.loads((corpus.folder / ".other.json").read_text())
    assert set(run("doit", corpus).outcomes.values()) == {"REUSED"}


# External data


def with_weights(corpus: Corpus) -> Path:
    corpus.onnx("lightglue").write_bytes(onnx_with_external_data("lightglue.bin"))
    weights = corpus.folder / "models/lightglue.bin"
    weights.write_bytes(b"weights")
    return weights


def test_external_data_is_a_file_dep_from_the_start(corpus: Corpus) -> None:
    with_weights(corpus)
    assert "models/lightglue.bin" in said(corpus.doit("list", "--all", "--deps"))
    run("doit", corpus)
    assert "models/lightglue.bin" in said(corpus.doit("info", "engines:lightglue"))


def test_external_data_that_changes_rebuilds_and_is_named(corpus: Corpus) -> None:
    weights = with_weights(corpus)
    run("doit", corpus)
    weights.write_bytes(b"WEIGHTS")
    changed = run("doit", corpus)
    assert changed.outcomes["lightglue"] == "BUILT"
    (line,) = [line for line in changed.stdout.splitlines() if line.startswith("BUILT  lightglue")]
    assert "external data lightglue.bin changed: sha256 " in line


def test_external_data_that_is_missing_fails_that_engine_and_is_named(corpus: Corpus) -> None:
    with_weights(corpus).unlink()
    done = corpus.doit("--continue", "engines")
    assert outcomes(done)["lightglue"] == "FAILED"
    assert "models/lightglue.bin" in said(done)


def test_an_onnx_that_no_longer_names_its_external_data(corpus: Corpus) -> None:
    weights = with_weights(corpus)
    run("doit", corpus)
    corpus.onnx("lightglue").write_bytes(onnx_bytes("all inside"))
    weights.unlink()
    changed = run("doit", corpus)
    assert changed.outcomes == {"dinov2_vpr": "REUSED", "lightglue": "BUILT", "aliked": "REUSED"}
    assert "external data lightglue.bin removed" in changed.reason("lightglue")
    assert set(run("doit", corpus).outcomes.values()) == {"REUSED"}


def test_external_data_outside_the_models_folder_is_refused(corpus: Corpus) -> None:
    corpus.onnx("lightglue").write_bytes(onnx_with_external_data("../secret.bin"))
    done = corpus.doit("engines:lightglue")
    assert done.returncode == 1
    assert "external data: expected a location inside the model's folder, got '../secret.bin'" in said(done)
    assert corpus.calls() == []


# Any dodo.py


RTX_CONFIG = """
runtime = "tensorrt_rtx"
[[backbones]]
model_name = "tiny"
onnx_path = "tiny.onnx"
"""


def test_the_two_lines_in_a_folder_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "dodo.py").write_text(TWO_LINES)
    (tmp_path / "backbones.toml").write_text(RTX_CONFIG)
    listed = said(doit(tmp_path, "list", "--all"))
    assert "engines        TensorRT engines, one per backbone\n" in listed
    assert "tiny__sm80.86.89.120+_jpnone_rtx" in listed


BESIDE_OTHERS = (
    TWO_LINES
    + """
def task_export():
    return {"actions": ["printf x > made.onnx"], "targets": ["made.onnx"]}

def task_report():
    return {"actions": ["echo a task of my own"], "verbosity": 2}
"""
)


def test_beside_tasks_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "dodo.py").write_text(BESIDE_OTHERS)
    (tmp_path / "backbones.toml").write_text(RTX_CONFIG)
    assert re.findall(r"^\w+", said(doit(tmp_path, "list")), re.MULTILINE) == ["engines", "export", "report"]
    done = doit(tmp_path, "report")
    assert done.returncode == 0
    assert "a task of my own" in said(done)
    assert "engines:" not in done.stdout  # no engine was asked for: no summary of engines


ONE_THAT_MAKES_THE_ONNX = """
from pathlib import Path
from harness import onnx_bytes
from c10.tasks import DOIT_CONFIG, engine_tasks
from fake_runtime import planned

def make(targets):
    Path(targets[0]).parent.mkdir(exist_ok=True)
    Path(targets[0]).write_bytes(onnx_bytes("exported"))

def task_export():
    return {"actions": [make], "targets": ["models/lightglue.onnx"]}

def task_engines():
    host, runtime = planned()
    yield from engine_tasks("backbones.toml", host=host, runtime=runtime)
"""


def test_a_task_that_makes_the_onnx_runs_first(corpus: Corpus) -> None:
    corpus.models, corpus.dodo = ("lightglue",), ONE_THAT_MAKES_THE_ONNX
    corpus.write()
    shutil.rmtree(corpus.folder / "models")
    assert outcomes(corpus.doit("engines")) == {"lightglue": "BUILT"}
    assert outcomes(corpus.doit("engines")) == {"lightglue": "REUSED"}


def test_engine_directory_copied_to_another_checkout(corpus: Corpus, tmp_path: Path) -> None:
    run("doit", corpus)
    other = Corpus(tmp_path / "elsewhere").write()
    shutil.copytree(corpus.engines, other.engines)  # with none of the times of the original
    there = run("doit", other)
    assert set(there.outcomes.values()) == {"REUSED"}
    path = other.onnx("lightglue")
    status = path.stat()
    path.write_bytes(onnx_bytes("lightgluE"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    changed = run("doit", other)
    assert changed.outcomes == {"dinov2_vpr": "REUSED", "lightglue": "BUILT", "aliked": "REUSED"}
    assert "ONNX changed: sha256 " in changed.reason("lightglue")


# What a warm run imports


AT_EXIT = """
import atexit, json, sys
from pathlib import Path

@atexit.register
def write_modules():
    Path("modules.json").write_text(json.dumps(sorted(sys.modules)))
"""
COMPILERS = {"tensorrt", "tensorrt_rtx", "onnx", "numpy"}


def imported(corpus: Corpus) -> set[str]:
    modules = json.loads((corpus.folder / "modules.json").read_text())
    return {name.partition(".")[0] for name in modules}


def test_a_warm_run_imports_no_compiler(corpus: Corpus) -> None:
    corpus.new_python = True
    corpus.dodo = AT_EXIT + corpus.dodo
    run("doit", corpus)
    assert "c10" in imported(corpus)
    assert not imported(corpus) & COMPILERS  # a build in a child process does not import them here either
    assert set(run("doit", corpus).outcomes.values()) == {"REUSED"}
    assert not imported(corpus) & COMPILERS
    assert corpus.doit("info", "engines:aliked").returncode == 0
    assert not imported(corpus) & COMPILERS


def test_the_look_at_modules_would_see_them(corpus: Corpus) -> None:
    corpus.new_python = True
    corpus.dodo = AT_EXIT + "import onnx\n" + corpus.dodo
    run("doit", corpus)
    assert imported(corpus) & COMPILERS == {"onnx", "numpy"}


def test_import_c10_alone_imports_neither_doit_nor_a_compiler() -> None:
    code = "import sys, c10; print(sorted(name.partition('.')[0] for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "'c10'" in done.stdout
    assert not {"'doit'", *(f"'{name}'" for name in COMPILERS)} & set(done.stdout.replace("[", "").split(", "))
