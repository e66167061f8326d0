"""`doit engines-plan`: what a run would do, here and on another host."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_corpus import add_jetson_engines, as_json, cold_corpus, command, untouched, warm_corpus
from harness import Corpus, doit, flip_byte, onnx_with_external_data, run
from networks import matmul_network

from c10.corpus.revisions import CONFIGURE_REVISIONS, CONVERTER_REVISION
from c10.proof.definition import build_key


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return warm_corpus(tmp_path / "checkout")


@pytest.fixture
def jetson(corpus: Corpus) -> Corpus:
    """A cache that an Orin filled; the plan is made on another machine, without its dodo.py."""
    corpus.host |= {"trt_version": "10.3.0.26", "sm_count": 16, "device_name": "Orin", "cuda_driver": "12.6"}
    assert run("doit", corpus).rc == 0
    (corpus.folder / "dodo.py").unlink()
    return corpus


def plan(folder: Path, *arguments: str) -> dict[str, tuple[str, str]]:
    return {e["model_name"]: (e["action"], e["why"]) for e in as_json(folder, "engines-plan", *arguments)["engines"]}


def test_a_warm_corpus_is_reused_and_the_run_agrees(folder: Path) -> None:
    before = untouched(folder)
    assert "Nothing to build: all 2 engines would be reused." in command(folder, "engines-plan").stdout
    assert untouched(folder) == before
    assert doit(folder, "engines").stdout.count("REUSED ") == 2


def test_a_changed_model_is_built_and_the_run_agrees(folder: Path) -> None:
    matmul_network(folder / "models" / "left_eye.onnx", batch=4, seed=99)
    found = plan(folder)
    assert found["left_eye"][0] == "build"
    assert found["left_eye"][1].startswith("ONNX changed: sha256 ")
    assert found["right_eye"][0] == "reuse"
    text = command(folder, "engines-plan").stdout
    assert "1 of 2 engines to build, about " in text
    ran = doit(folder, "engines").stdout
    assert (ran.count("BUILT "), ran.count("REUSED ")) == (1, 1)


def test_a_cold_corpus_is_built_and_nobody_knows_how_long(tmp_path: Path) -> None:
    folder = cold_corpus(tmp_path / "checkout")
    text = command(folder, "engines-plan").stdout
    assert "2 of 2 engines to build. Build them with: doit engines" in text
    assert not (folder / "engines").exists()


UNREADABLE = "models/left_eye.onnx: expected a readable ONNX file, got No such file or directory"


def test_what_cannot_be_built_is_blocked_and_not_counted_as_to_build(tmp_path: Path) -> None:
    folder = cold_corpus(tmp_path / "checkout")
    (folder / "models" / "left_eye.onnx").unlink()
    document = as_json(folder, "engines-plan")
    assert [(e["action"], e["why"]) for e in document["engines"]] == [
        ("blocked", f"no engine yet; {UNREADABLE}"),
        ("build", "no engine yet"),
    ]
    assert document["counts"] == {"blocked": 1, "build": 1}
    lines = command(folder, "engines-plan").stdout.splitlines()
    assert [line.split()[:2] for line in lines[3:5]] == [["left_eye", "blocked"], ["right_eye", "build"]]
    assert lines[6:] == [
        "1 of 2 engines to build. Build them with: doit --continue engines",
        "1 of 2 engines blocked: the line names the file that a build needs. Put it there, readable, and look again.",
    ]


def test_a_blocked_corpus_is_not_told_to_build(folder: Path) -> None:
    (folder / "models" / "left_eye.onnx").unlink()
    flip_byte(next((folder / "engines").glob("left_eye*.engine")))
    assert as_json(folder, "engines-plan")["estimated_s"] is None
    text = command(folder, "engines-plan").stdout
    assert "digest_mismatch: the engine's bytes" in text
    assert text.count(UNREADABLE) == 1
    assert text.splitlines()[-1].startswith("1 of 2 engines blocked: ")
    assert "to build" not in text


def test_an_intact_engine_without_its_onnx_is_blocked(folder: Path) -> None:
    (folder / "models" / "left_eye.onnx").unlink()
    assert plan(folder)["left_eye"] == ("blocked", f"a source file cannot be read ({UNREADABLE.replace('ONNX ', '')})")


def test_every_file_that_a_build_needs_may_block(tmp_path: Path) -> None:
    folder = cold_corpus(tmp_path / "checkout")
    with (folder / "backbones.toml").open("a") as config:  # of the right eye
        config.write('plugins = ["none.so"]\n')
    (folder / "models" / "left_eye.onnx").write_bytes(onnx_with_external_data("weights.bin"))
    assert plan(folder) == {
        "left_eye": (
            "blocked",
            "no engine yet; models/weights.bin: expected a readable file, got No such file or directory",
        ),
        "right_eye": ("blocked", "no engine yet; none.so: expected a readable file, got No such file or directory"),
    }


def test_an_engine_that_is_gone_has_no_new_name(jetson: Corpus) -> None:
    jetson.engine("aliked").unlink()
    why = plan(jetson.folder, "--host", "sm=87,jp=6.2,trt=10.3")["aliked"][1]
    assert why == "the engine is gone, only files beside it are left"


def test_damage_is_a_reason(folder: Path) -> None:
    flip_byte(next((folder / "engines").glob("left_eye*.engine")))
    assert plan(folder)["left_eye"][1].startswith("digest_mismatch: ")


@pytest.mark.parametrize("form", [("--host", "{}"), ("--host={}",)])
def test_the_same_host_reuses_if_what_is_not_stated_is_unchanged(jetson: Corpus, form: tuple[str, ...]) -> None:
    found = plan(jetson.folder, *(part.format("sm=87,jp=6.2,trt=10.3") for part in form))
    assert found["aliked"] == (
        "reuse",
        "intact, and reused there if these are the same: "
        "runtime version 10.3.0.26, SM count 16, GPU Orin, CUDA driver 12.6",
    )


@pytest.mark.parametrize(
    ("recorded", "action", "why"),
    [
        (
            {"converter": f"c10/{CONVERTER_REVISION}", "onnx": "1.0"},
            "reuse",
            "if these are the same: runtime version 10.3.0.26, onnx package 1.0, ",
        ),
        (
            {"converter": "c10/0", "onnx": "1.0"},
            "build",
            f"precision converter c10/0 → c10/{CONVERTER_REVISION}",
        ),
        ({"configure": 0}, "build", f"builder configuration by c10 0 → {CONFIGURE_REVISIONS['trt']}"),
    ],
    ids=["another onnx package", "another converter", "another configuration"],
)
def test_on_another_host_it_is_this_c10_that_builds(
    jetson: Corpus, recorded: dict[str, object], action: str, why: str
) -> None:
    """Its packages are not known, but what this c10 would do to the network is."""
    path = Path(f"{jetson.engine('aliked')}.json")
    statement = json.loads(path.read_text("utf-8"))
    definition = statement["predicate"]["buildDefinition"]
    definition["internalParameters"]["runtime"].update(recorded)
    statement["predicate"]["c10_build_key"] = build_key(definition)
    path.write_text(json.dumps(statement), "utf-8")
    found = plan(jetson.folder, "--host", "sm=87,jp=6.2,trt=10.3")["aliked"]
    assert found[0] == action
    assert why in found[1]


@pytest.mark.parametrize(
    ("fact", "why"),
    [
        ("sm_count=8", "SM count 16 → 8 (power mode changed?)"),
        ("trt_version=10.3.0.30", "TensorRT 10.3.0.26 → 10.3.0.30"),
        ("device_name=Orin Nano", "GPU Orin → Orin Nano (another GPU?)"),
    ],
)
def test_a_stated_fact_that_differs_is_a_reason(jetson: Corpus, fact: str, why: str) -> None:
    assert plan(jetson.folder, "--host", f"sm=87,jp=6.2,trt=10.3,{fact}")["aliked"] == ("build", why)


def test_a_jetpack_upgrade_is_a_new_name(jetson: Corpus) -> None:
    before = untouched(jetson.folder)
    text = command(jetson.folder, "engines-plan", "--host", "sm=87,jp=6.2.1,trt=10.3").stdout
    assert text.count("JetPack 6.2 → 6.2.1: new name, nothing there yet") == 3
    assert "3 of 3 engines to build, about " in text
    assert text.startswith("backbones.toml on another host: sm87, JetPack 6.2.1, TensorRT 10.3; cache_root engines\n")
    document = as_json(jetson.folder, "engines-plan", "--host", "sm=87,jp=6.2.1,trt=10.3")
    assert document["other_host"] is True
    assert document["counts"] == {"build": 3}
    assert document["engines"][0]["nearest"] == "dinov2_vpr__sm87_jp6.2_trt10.3_fp16.engine"
    assert document["engines"][0]["nearest_differences"] == [
        {"fact": "host.jp", "words": "JetPack", "old": "6.2", "new": "6.2.1"}
    ]
    assert untouched(jetson.folder) == before


def test_the_nearest_engine_says_all_that_differs(jetson: Corpus) -> None:
    jetson.onnx("aliked").write_bytes(b"\x08\x08\x12\x05other")
    found = plan(jetson.folder, "--host", "sm=87,jp=7.1,trt=10.13")
    assert found["lightglue"][1] == "JetPack 6.2 → 7.1; TensorRT 10.3 → 10.13: new name, nothing there yet"
    assert found["aliked"][1].startswith(
        "JetPack 6.2 → 7.1; TensorRT 10.3 → 10.13: new name, nothing there yet; ONNX changed: "
    )


def test_the_directory_is_that_of_the_host(jetson: Corpus) -> None:
    jetson.settings["cache_root"] = "engines/{device}-{sm_count}"
    jetson.write()
    (jetson.folder / "dodo.py").unlink()
    host = "sm=87,jp=6.2,trt=10.3,device_name=Orin Nano,sm_count=8"
    text = command(jetson.folder, "engines-plan", "--host", host).stdout
    assert text.splitlines()[0].endswith("; cache_root engines/orin-nano-8")


@pytest.mark.parametrize(("facts", "lacking"), [("", "device_name"), (",device_name=Orin", "sm_count")])
def test_a_host_without_the_facts_that_its_directory_is_named_by_is_3(jetson: Corpus, facts: str, lacking: str) -> None:
    jetson.settings["cache_root"] = "engines/{device}-{sm_count}"
    jetson.write()
    host = f"sm=87,jp=6.2,trt=10.3{facts}"
    stderr = command(jetson.folder, "engines-plan", "--host", host, rc=3).stderr
    assert stderr == (
        f"ERROR: --host {host}: expected {lacking}, which cache_root engines/{{device}}-{{sm_count}} is named by, "
        f"got none\nAdd it: --host {host},{lacking}=…\n"
    )


def test_engines_of_another_runtime_say_nothing_of_time(folder: Path) -> None:
    stderr = command(folder, "engines-plan", "--host", "sm=90,trt=10.9", rc=3).stderr
    assert stderr.endswith(
        '\nThe configuration says runtime = "tensorrt_rtx": describe that host by --host rtx_version=1.7\n'
    )
    config = folder / "backbones.toml"
    config.write_text(config.read_text().replace("tensorrt_rtx", "auto"))
    add_jetson_engines(folder, "left_eye")
    near, other = as_json(folder, "engines-plan", "--host", "sm=90,trt=10.9")["engines"]
    assert near["nearest"] == "left_eye__sm87_jp6.2_trt10.3_fp16.engine"
    assert near["last_duration_s"] > 0
    assert (other["nearest"], other["last_duration_s"], other["why"]) == (None, None, "no engine yet")


FIELDS = "expected FIELD=VALUE, FIELD one of cuda_driver, device_name, "


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "sm=87,jetpack=6.2"], FIELDS),
        (["--host=sm=87,jetpack=6.2"], "got 'jetpack=6.2'"),
        (["--host", "nonsense"], FIELDS),
        (["--host", "foo=1"], FIELDS),
        (["--host=foo=1"], "got 'foo=1'"),
        (["--host="], FIELDS),
        (["--host"], FIELDS),
        (["--host", "--json"], FIELDS),
        (["--host", "sm=87,sm=80,trt=10.3"], "--host sm=87,sm=80,trt=10.3: sm: expected once, got 87 and 80"),
        (["--host", "sm=87,trt=10.3", "--host", "sm=80,trt=10.3"], "--host: expected once, got twice"),
        (["--host", "sm=87,trt=10.3,trt_version=10.4.0.1"], "trt: expected 10.4 as of trt_version=10.4.0.1, got 10.3"),
        (["--host", "sm=87,trt=8.6"], "trt: expected TensorRT 10.x or 11.x, got 8.6"),
        (["--host", "sm=87,jp=6.2"], "no TensorRT library"),
        (["--host", "sm=eighty,trt=10.3"], "--host sm=eighty,trt=10.3: sm: expected a compute capability"),
    ],
)
def test_a_host_that_cannot_be_is_3_and_shows_how(jetson: Corpus, arguments: list[str], words: str) -> None:
    stderr = command(jetson.folder, "engines-plan", *arguments, rc=3).stderr
    assert words in stderr
    assert "--host sm=87,jp=6.2.1,trt=10.3" in stderr
    assert len(stderr.splitlines()) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["--host", "sm=8.7,jp=6.2,trt_version=10.3.0.26"],
        ["--host=sm=8.7,jp=6.2,trt_version=10.3.0.26"],
        ["--host", "sm=87", "l4t=36.4.3", "trt=10.3"],
        ["sm=87", "--host", "jp=6.2,trt=10.3"],
    ],
)
def test_a_host_in_other_words_is_the_same(jetson: Corpus, arguments: list[str]) -> None:
    document = as_json(jetson.folder, "engines-plan", *arguments)
    assert [document["host"][name] for name in ("sm", "jp", "trt")] == ["87", "6.2", "10.3"]
    assert document["other_host"] is True


def test_an_empty_folder_and_a_needless_argument_are_3(tmp_path: Path) -> None:
    assert "backbones.toml: expected a configuration" in command(tmp_path, "engines-plan", rc=3).stderr
    assert "expected no argument, got 'left_eye'" in command(tmp_path, "engines-plan", "left_eye", rc=3).stderr


def test_an_empty_corpus_is_said(tmp_path: Path) -> None:
    (tmp_path / "backbones.toml").write_text("")
    assert "no backbone, nothing to build" in command(tmp_path, "engines-plan").stdout
    assert as_json(tmp_path, "engines-plan")["engines"] == []
    assert "expected FIELD=VALUE" in command(tmp_path, "engines-plan", "--host=eighty", rc=3).stderr
