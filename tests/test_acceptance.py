"""ACCEPTANCE.md row by row, through `doit engines` and through EngineCompiler, with a fake runtime."""

from __future__ import annotations

import dbm.dumb
import json
import os
import re
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import HOST, MODELS, Corpus, Driver, Run, flip_byte, onnx_bytes, onnx_with_external_data, run, snapshot

from c10 import CalibrationCacheError, EngineBuildError, EngineFilenameSchema, Sha256Sidecar
from c10.proof.record import read_record

HIT, MISS = "c10.engine.cache.hit", "c10.engine.cache.miss"
MISMATCH, ERROR, SUMMARY = "c10.engine.sidecar.mismatch", "c10.engine.compile.error", "c10.engine.compile.summary"
CANONICAL = "dinov2_vpr__sm87_jp6.2_trt10.3_fp16.engine"


def all_of(outcome: str) -> dict[str, str]:
    return dict.fromkeys(MODELS, outcome)


def counts(one_run: Run) -> tuple[int, int, int]:
    """Return built, reused, failed, out of the one summary that a run has."""
    summary = one_run.events.one(SUMMARY)
    assert summary.level == "INFO"
    assert summary.fields["duration_s"] >= 0
    built, reused, failed = (summary.fields[f"engines_{what}"] for what in ("built", "reused", "failed"))
    return built, reused, failed


def rewrite_unseen(path: Path, content: bytes) -> None:
    """Change a file's content and put its old mtime back; the size has to be the old one."""
    status = path.stat()
    assert len(content) == status.st_size
    assert content != path.read_bytes()
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_mtime_ns == status.st_mtime_ns


def test_ac_01_cold_cache_builds_all(driver: Driver, corpus: Corpus) -> None:
    cold = run(driver, corpus)
    assert cold.outcomes == all_of("BUILT")
    assert cold.rc == 0
    names = sorted(path.name for path in corpus.engines.iterdir() if path.name != ".locks")
    engines = sorted(corpus.engine(model).name for model in MODELS)
    assert names == sorted(name + suffix for name in engines for suffix in ("", ".sha256", ".json"))
    misses = cold.events.named(MISS)
    assert [(miss.level, miss.fields["reason"]) for miss in misses] == [("WARNING", "missing")] * 3
    assert [miss.fields["model_name"] for miss in misses] == list(MODELS)
    assert [Path(miss.fields["engine_path"]).name for miss in misses] == [corpus.engine(m).name for m in MODELS]
    assert all(miss.fields["message"].startswith(MISS) for miss in misses)
    assert counts(cold) == (3, 0, 0)
    assert cold.calls == list(MODELS)


def test_ac_01_records_name_what_went_in(driver: Driver, corpus: Corpus) -> None:
    run(driver, corpus)
    for model in MODELS:
        record = read_record(Path(f"{corpus.engine(model)}.json"))
        assert record.definition["externalParameters"]["model_name"] == model
        assert record.definition["internalParameters"]["host"]["sm"] == "87"
        assert record.sha256 == Sha256Sidecar.read(corpus.engine(model))


def test_ac_02_same_request_again_reuses_all(driver: Driver, corpus: Corpus) -> None:
    run(driver, corpus)
    before = snapshot(corpus.engines)
    warm = run(driver, corpus)
    assert warm.outcomes == all_of("REUSED")
    assert warm.durations == dict.fromkeys(MODELS)
    assert warm.calls == []
    assert [hit.level for hit in warm.events.named(HIT)] == ["INFO"] * 3
    assert warm.events.models(HIT) == list(MODELS)
    assert warm.events.named(MISS) == []
    assert counts(warm) == (0, 3, 0)
    assert snapshot(corpus.engines) == before


def test_ac_03_only_what_is_not_cached_is_built(driver: Driver, corpus: Corpus) -> None:
    corpus.models = ("dinov2_vpr",)
    run(driver, corpus)
    corpus.models = MODELS
    mixed = run(driver, corpus)
    assert mixed.outcomes == {"dinov2_vpr": "REUSED", "lightglue": "BUILT", "aliked": "BUILT"}
    assert mixed.calls == ["lightglue", "aliked"]
    assert counts(mixed) == (2, 1, 0)


def test_ac_04_another_host_gets_names_of_its_own(driver: Driver, corpus: Corpus) -> None:
    run(driver, corpus)
    old = snapshot(corpus.engines)
    corpus.host.update(sm="89", jp="6.3", trt="10.5")
    other = run(driver, corpus)
    assert other.outcomes == all_of("BUILT")
    now = snapshot(corpus.engines)
    assert {name: now[name] for name in old} == old  # byte for byte and mtime for mtime
    fresh = {name for name in now.keys() - old.keys() if name.endswith(".engine")}
    assert fresh == {f"{model}__sm89_jp6.3_trt10.5_fp16.engine" for model in MODELS}
    assert counts(other) == (3, 0, 0)
    for words in ("compute capability 87 → 89", "JetPack 6.2 → 6.3", "TensorRT 10.3 → 10.5"):
        assert words in other.reason("aliked")


SIDECAR_DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "zeros": (lambda path: path.write_text("0" * 64), "digest_mismatch"),
    "deleted": (lambda path: path.unlink(), "sidecar_missing"),
    "cut short": (lambda path: path.write_bytes(path.read_bytes()[:40]), "sidecar_malformed"),
    "cut in the name": (lambda path: path.write_bytes(path.read_bytes()[:80]), "sidecar_malformed"),
}


@pytest.mark.parametrize("damage", SIDECAR_DAMAGE)
def test_ac_05_damaged_sidecar_rebuilds_that_engine(driver: Driver, corpus: Corpus, damage: str) -> None:
    run(driver, corpus)
    spoil, reason = SIDECAR_DAMAGE[damage]
    spoil(Sha256Sidecar.path(corpus.engine("lightglue")))
    mended = run(driver, corpus)
    assert mended.outcomes == {"dinov2_vpr": "REUSED", "lightglue": "BUILT", "aliked": "REUSED"}
    mismatch = mended.events.one(MISMATCH)
    assert mismatch.level == "WARNING"
    assert mismatch.fields["model_name"] == "lightglue"
    assert mismatch.fields["reason"] == reason
    assert Path(mismatch.fields["engine_path"]).name == corpus.engine("lightglue").name
    assert mended.events.one(MISS).fields["reason"] == reason
    assert mended.calls == ["lightglue"]
    assert Sha256Sidecar.verify(corpus.engine("lightglue"))
    assert run(driver, corpus).outcomes == all_of("REUSED")


def cache_first_and_fail_second(driver: Driver, corpus: Corpus, kind: str, *options: str) -> tuple[Run, dict]:
    """AC-6's state: 1 of 3 is cached, 2 is going to fail. Return the run and the cached engine's files."""
    corpus.models = ("dinov2_vpr",)
    run(driver, corpus)
    cached = snapshot(corpus.engines)
    corpus.models, corpus.failures = MODELS, {"lightglue": kind}
    return run(driver, corpus, *options), cached


def test_ac_06_failure_reaches_the_caller_and_touches_nothing(driver: Driver, corpus: Corpus) -> None:
    failed, cached = cache_first_and_fail_second(driver, corpus, "EngineBuildError")
    assert failed.rc == 1
    assert failed.calls == ["lightglue"]  # 3 was never attempted
    assert snapshot(corpus.engines) == cached  # nothing at 2's path, no temporary file, 1 untouched
    error = failed.events.one(ERROR)
    assert error.level == "ERROR"
    assert (error.fields["model_name"], error.fields["error_class"]) == ("lightglue", "EngineBuildError")
    assert error.fields["calibration_path"] is None
    assert counts(failed) == (0, 1, 1)
    if driver == "doit":
        assert failed.outcomes == {"dinov2_vpr": "REUSED", "lightglue": "FAILED"}
        assert "FAILED lightglue: lightglue: build: expected an engine, got none" in failed.stdout
        assert "the builder's own words" in failed.stdout
        assert "Traceback" not in failed.stdout + failed.stderr
    else:
        assert type(failed.error) is EngineBuildError
        assert failed.error.log == ("the builder's own words",)


def test_ac_06_doit_continue_attempts_the_third(corpus: Corpus) -> None:
    failed, _ = cache_first_and_fail_second("doit", corpus, "EngineBuildError", "--continue")
    assert failed.rc == 2  # doit's own: the group `engines` is reported too, as a task with an unmet dependency
    assert failed.outcomes == {"dinov2_vpr": "REUSED", "lightglue": "FAILED", "aliked": "BUILT"}
    assert failed.calls == ["lightglue", "aliked"]
    assert counts(failed) == (1, 1, 1)
    assert not corpus.engine("lightglue").exists()


def test_ac_06_the_next_run_builds_what_failed(driver: Driver, corpus: Corpus) -> None:
    cache_first_and_fail_second(driver, corpus, "EngineBuildError")
    corpus.failures = {}
    assert run(driver, corpus).outcomes == {"dinov2_vpr": "REUSED", "lightglue": "BUILT", "aliked": "BUILT"}


def test_ac_06_failed_rebuild_leaves_the_old_engine_and_never_reuses_it(driver: Driver, corpus: Corpus) -> None:
    run(driver, corpus)
    before = snapshot(corpus.engines)
    corpus.onnx("lightglue").write_bytes(onnx_bytes("another"))
    corpus.failures = {"lightglue": "EngineBuildError"}
    for _ in range(2):
        assert run(driver, corpus).calls == ["lightglue"]
        assert snapshot(corpus.engines) == before


def test_ac_07_calibration_cache_error_propagates(driver: Driver, corpus: Corpus) -> None:
    failed, _ = cache_first_and_fail_second(driver, corpus, "CalibrationCacheError")
    error = failed.events.one(ERROR)
    assert error.level == "ERROR"
    assert error.fields["model_name"] == "lightglue"
    assert error.fields["calibration_path"] == "calibration/lightglue.cache"
    assert error.fields["error_class"] == "CalibrationCacheError"
    assert failed.rc == 1
    if driver == "doit":
        assert "expected a cache of TensorRT 10.3, got an empty file\nCalibrate again." in failed.stdout
    else:
        assert type(failed.error) is CalibrationCacheError
        assert failed.error.calibration_path == Path("calibration/lightglue.cache")


def test_ac_08_name_sidecar_and_sha256sum(driver: Driver, corpus: Corpus) -> None:
    run(driver, corpus)
    engine = corpus.engines / CANONICAL
    assert engine.is_file()
    fields = {"model_name": "dinov2_vpr", **HOST, "precision": "fp16", "runtime": "trt"}
    assert EngineFilenameSchema.build(**fields) == CANONICAL
    parsed = EngineFilenameSchema.parse(CANONICAL)
    assert {field: getattr(parsed, field) for field in fields} == fields
    assert Sha256Sidecar.verify(engine) is True
    assert re.fullmatch(rf"[0-9a-f]{{64}}  {re.escape(CANONICAL)}\n", Sha256Sidecar.path(engine).read_text())
    sidecars = sorted(path.name for path in corpus.engines.glob("*.sha256"))
    done = subprocess.run(
        ["sha256sum", "-c", *sidecars], cwd=corpus.engines, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": OK\n") == 3


def test_ac_09_duration_is_positive_where_built_and_none_where_reused(driver: Driver, corpus: Corpus) -> None:
    corpus.models = ("dinov2_vpr", "aliked")
    run(driver, corpus)
    corpus.models = MODELS
    mixed = run(driver, corpus)
    assert mixed.outcomes == {"dinov2_vpr": "REUSED", "lightglue": "BUILT", "aliked": "REUSED"}
    built = mixed.durations["lightglue"]
    assert isinstance(built, float)
    assert built > 0
    assert (mixed.durations["dinov2_vpr"], mixed.durations["aliked"]) == (None, None)


def test_ac_10_no_backbones(driver: Driver, corpus: Corpus) -> None:
    corpus.models = ()
    empty = run(driver, corpus)
    assert empty.outcomes == {}
    assert empty.results == ()
    assert empty.rc == 0
    assert empty.calls == []
    assert not corpus.engines.exists()
    assert counts(empty) == (0, 0, 0)
    assert [event.name for event in empty.events] == [SUMMARY]


def _change_onnx(corpus: Corpus) -> None:
    corpus.onnx("lightglue").write_bytes(onnx_bytes("another model"))


def _change_onnx_unseen(corpus: Corpus) -> None:
    rewrite_unseen(corpus.onnx("lightglue"), onnx_bytes("lightgluE"))


def _change_weights(corpus: Corpus) -> None:
    (corpus.folder / "models/lightglue.bin").write_bytes(b"other weights")


def _change_weights_unseen(corpus: Corpus) -> None:
    rewrite_unseen(corpus.folder / "models/lightglue.bin", b"WEIGHTS")


def _change_shape(corpus: Corpus) -> None:
    corpus.backbone["lightglue"] = {"expected_input_shape": [1, 3, 96, 96]}


def _change_workspace(corpus: Corpus) -> None:
    corpus.backbone["lightglue"] = {"workspace_mb": 512}


def _change_precision(corpus: Corpus) -> None:
    corpus.backbone["lightglue"] = {"precision": "fp32"}


def _change_patch_release(corpus: Corpus) -> None:
    corpus.host["trt_version"] = "10.3.1.2"


def _change_sm_count(corpus: Corpus) -> None:
    corpus.host["sm_count"] = 8


INPUT_CHANGES: dict[str, tuple[Callable[[Corpus], None], str]] = {
    "ONNX": (_change_onnx, r"ONNX changed: sha256 [0-9a-f]{12}… → [0-9a-f]{12}…"),
    "ONNX, same mtime and size": (_change_onnx_unseen, r"ONNX changed: sha256 [0-9a-f]{12}… → [0-9a-f]{12}…"),
    "external data": (_change_weights, r"external data lightglue\.bin changed: sha256"),
    "external data, same mtime and size": (_change_weights_unseen, r"external data lightglue\.bin changed: sha256"),
    "shape": (_change_shape, r"optimization profiles .*322.* → .*96"),
    "workspace": (_change_workspace, r"workspace \(MiB\) 4096 → 512"),
    "precision": (_change_precision, r"precision fp16 → fp32"),
    "TensorRT patch release": (_change_patch_release, r"TensorRT 10\.3\.0\.26 → 10\.3\.1\.2"),
    "SM count": (_change_sm_count, r"SM count 16 → 8 \(power mode changed\?\)"),
}


@pytest.mark.parametrize("change", INPUT_CHANGES)
def test_ac_11_changed_input_is_built_and_named(driver: Driver, corpus: Corpus, change: str) -> None:
    corpus.host.update(trt_version="10.3.0.26", sm_count=16)
    corpus.onnx("lightglue").write_bytes(onnx_with_external_data("lightglue.bin"))
    (corpus.folder / "models/lightglue.bin").write_bytes(b"weights")
    if change == "ONNX, same mtime and size":
        corpus.onnx("lightglue").write_bytes(onnx_bytes("lightglue"))
    run(driver, corpus)
    apply, words = INPUT_CHANGES[change]
    apply(corpus)
    changed = run(driver, corpus)
    of_the_host = change in {"TensorRT patch release", "SM count"}
    others = "BUILT" if of_the_host else "REUSED"
    assert changed.outcomes == {"dinov2_vpr": others, "lightglue": "BUILT", "aliked": others}
    assert re.search(words, changed.reason("lightglue")), changed.reason("lightglue")
    if change != "precision":  # a name of its own: there the reason is that it is not there yet
        assert {miss.fields["reason"] for miss in changed.events.named(MISS)} == {"inputs_changed"}
    if driver == "doit":
        (line,) = [line for line in changed.stdout.splitlines() if line.startswith("BUILT  lightglue: ")]
        assert re.search(words, line), line
    assert run(driver, corpus).outcomes == all_of("REUSED")


@pytest.mark.parametrize("database", ["deleted", "never there", "another Python's dbm", "another Python's dbm.sqlite3"])
def test_ac_12_lost_or_foreign_database_reuses_all(driver: Driver, corpus: Corpus, database: str) -> None:
    run("EngineCompiler" if database == "never there" else "doit", corpus)
    path = corpus.folder / ".doit.db"
    assert path.exists() is (database != "never there")
    path.unlink(missing_ok=True)
    if database == "another Python's dbm":
        with dbm.dumb.open(str(path), "c") as foreign:
            foreign["engines:aliked"] = "{}"
    elif database == "another Python's dbm.sqlite3":
        connection = sqlite3.connect(path)
        connection.execute("create table Dict (key blob unique not null, value blob not null)")
        connection.commit()
        connection.close()
    before = snapshot(corpus.engines)
    again = run(driver, corpus)
    assert again.outcomes == all_of("REUSED")
    assert again.calls == []
    assert snapshot(corpus.engines) == before


GARBAGE = {
    "text": b'{"engines:aliked": {"checker:": "MD5Checker"}}',  # doit's own JSON backend writes such a file
    "noise": bytes(range(256)) * 64,
    "cut": None,
}


@pytest.mark.parametrize("garbage", GARBAGE)
def test_ac_12_garbage_database_is_a_message_and_loses_nothing(driver: Driver, corpus: Corpus, garbage: str) -> None:
    run("doit", corpus)
    path = corpus.folder / ".doit.db"
    path.write_bytes(GARBAGE[garbage] or path.read_bytes()[:6000])
    before = snapshot(corpus.engines)
    if driver == "doit":
        done = corpus.doit("engines")
        assert done.returncode == 3, done.stdout
        assert ".doit.db: expected doit's database, got a file that is damaged or of another kind" in done.stderr
        assert "Remove it and run again: rm .doit.db" in done.stderr
        assert "No engine is lost or rebuilt for it" in done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        assert snapshot(corpus.engines) == before
        path.unlink()  # as the message says
    again = run(driver, corpus)
    assert again.outcomes == all_of("REUSED")
    assert again.calls == []
    assert snapshot(corpus.engines) == before


def test_ac_12_a_row_of_the_database_that_is_no_json_is_as_none(corpus: Corpus) -> None:
    run("doit", corpus)
    connection = sqlite3.connect(corpus.folder / ".doit.db")
    connection.execute("update doit set task_data = '[1, 2' where task_id = 'engines:lightglue'")
    connection.commit()
    connection.close()
    again = run("doit", corpus)
    assert again.outcomes == all_of("REUSED")
    assert again.rc == 0


@pytest.mark.parametrize("way_there", ["doit", "EngineCompiler"])
def test_ac_12_what_one_way_built_the_other_reuses(driver: Driver, corpus: Corpus, way_there: Driver) -> None:
    run(way_there, corpus)
    assert run(driver, corpus).outcomes == all_of("REUSED")


def test_ac_13_flipped_byte_is_a_digest_mismatch(driver: Driver, corpus: Corpus) -> None:
    run(driver, corpus)
    engine = corpus.engine("aliked")
    good, status = engine.read_bytes(), engine.stat()
    flip_byte(engine)
    spoiled = engine.stat()
    assert (spoiled.st_size, spoiled.st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    mended = run(driver, corpus)
    assert mended.outcomes == {"dinov2_vpr": "REUSED", "lightglue": "REUSED", "aliked": "BUILT"}
    assert mended.events.one(MISMATCH).fields["reason"] == "digest_mismatch"
    assert mended.events.one(MISS).fields["reason"] == "digest_mismatch"
    assert engine.read_bytes() == good


def test_ac_13_flipped_byte_with_a_sidecar_to_match_is_caught_by_the_record(driver: Driver, corpus: Corpus) -> None:
    run(driver, corpus)
    engine = corpus.engine("aliked")
    Sha256Sidecar.write_atomic_and_sidecar(engine, b"an engine of somebody else")
    mended = run(driver, corpus)
    assert mended.outcomes == {"dinov2_vpr": "REUSED", "lightglue": "REUSED", "aliked": "BUILT"}
    assert mended.events.one(MISS).fields["reason"] == "record_mismatch"


def test_a_record_of_an_unknown_schema_is_a_rebuild(driver: Driver, corpus: Corpus) -> None:
    run(driver, corpus)
    path = Path(f"{corpus.engine('aliked')}.json")
    record = json.loads(path.read_text("utf-8"))
    record["predicate"]["c10_schema_version"] = 99
    path.write_text(json.dumps(record), "utf-8")
    mended = run(driver, corpus)
    assert mended.outcomes == {"dinov2_vpr": "REUSED", "lightglue": "REUSED", "aliked": "BUILT"}
    assert mended.events.one(MISS).fields["reason"] == "record_unreadable"
