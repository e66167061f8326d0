"""Log events: as attributes of records, as JSON lines, as text; and where they go."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
from harness import MODELS, Corpus, Driver, Event, run

SCHEMA = json.loads((Path(__file__).parents[1] / "docs/log-events.schema.json").read_text("utf-8"))
FIELDS = {
    "c10.engine.cache.hit": {"model_name", "engine_path"},
    "c10.engine.cache.miss": {"model_name", "engine_path", "reason"},
    "c10.engine.sidecar.mismatch": {"model_name", "engine_path", "reason"},
    "c10.engine.compile.error": {"model_name", "engine_path", "error_class", "calibration_path", "remedy", "log"},
    "c10.engine.compile.summary": {"engines_built", "engines_reused", "engines_failed", "duration_s"},
}
LEVELS = {
    "c10.engine.cache.hit": "INFO",
    "c10.engine.cache.miss": "WARNING",
    "c10.engine.sidecar.mismatch": "WARNING",
    "c10.engine.compile.error": "ERROR",
    "c10.engine.compile.summary": "INFO",
}


def make_each_happen(driver: Driver, corpus: Corpus) -> Iterator[Event]:
    """Run the corpus into a build, a damaged sidecar, a failure, and yield all events."""
    yield from run(driver, corpus).events
    Path(f"{corpus.engine('dinov2_vpr')}.sha256").write_text("0" * 64)
    corpus.onnx("aliked").write_bytes(b"")
    corpus.failures = {"aliked": "CalibrationCacheError"}
    yield from run(driver, corpus).events


def test_every_event_has_its_level_its_fields_and_its_name_first(driver: Driver, corpus: Corpus) -> None:
    seen = set()
    for event in make_each_happen(driver, corpus):
        seen.add(event.name)
        assert event.level == LEVELS[event.name]
        assert event.fields.keys() >= FIELDS[event.name]
        assert event.fields["message"].startswith(f"{event.name} ")
    assert seen == FIELDS.keys()


def test_records_of_the_logger_c10_carry_event_and_fields(corpus: Corpus, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="c10")
    run("EngineCompiler", corpus)
    records = [record for record in caplog.records if record.name == "c10"]
    assert [getattr(record, "event", None) for record in records] == [
        *["c10.engine.cache.miss"] * 3,
        "c10.engine.compile.summary",
    ]
    summary = records[-1].__dict__
    assert (summary["engines_built"], summary["engines_reused"], summary["engines_failed"]) == (3, 0, 0)
    assert [record.__dict__["model_name"] for record in records[:3]] == list(MODELS)


def test_json_lines_follow_the_published_schema(corpus: Corpus) -> None:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    lines = [event.fields for event in make_each_happen("doit", corpus)]
    assert {line["event"] for line in lines} == FIELDS.keys()
    for line in lines:
        validator.validate(line)
    with pytest.raises(jsonschema.ValidationError):
        validator.validate({**lines[0], "model_name": None})


def test_with_json_standard_error_is_json_alone(corpus: Corpus) -> None:
    corpus.failures = {"aliked": "EngineBuildError"}
    corpus.write()
    done = corpus.doit("engines", json_log=True)
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == [
        *["c10.engine.cache.miss"] * 3,
        "c10.engine.compile.error",
        "c10.engine.compile.summary",
    ]


def test_with_json_a_program_reads_what_is_wrong_before_any_engine(corpus: Corpus) -> None:
    corpus.settings = {"precision": "fp17"}
    corpus.write()
    done = corpus.doit("engines", json_log=True)
    assert done.returncode == 3
    first, *doits = done.stderr.splitlines()
    jsonschema.Draft202012Validator(SCHEMA).validate(event := json.loads(first))
    assert event["event"] == "c10.config.invalid"
    assert "precision: expected one of" in event["message"]
    assert doits[0].startswith("ERROR: ")
    assert "c10.config.invalid" not in corpus.doit("engines").stderr  # a person reads it once


def test_with_json_a_failure_is_told_whole(corpus: Corpus) -> None:
    corpus.failures = {"aliked": "EngineBuildError"}
    corpus.write()
    lines = [json.loads(line) for line in corpus.doit("engines", json_log=True).stderr.splitlines()]
    (event,) = [line for line in lines if line["event"] == "c10.engine.compile.error"]
    assert event["engine_path"] == "engines/aliked__sm87_jp6.2_trt10.3_fp16.engine"
    assert (event["remedy"], event["log"]) == ("Look at it.", ["the builder's own words"])


def test_with_json_what_the_database_says_is_json_too(corpus: Corpus) -> None:
    corpus.write()
    Path(corpus.folder / ".doit.db").symlink_to("nowhere/at/all")
    done = corpus.doit("engines", json_log=True)
    assert json.loads(done.stderr.splitlines()[0])["event"] == "c10.database.unwritable"
    for line in done.stderr.splitlines():
        jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(line))


def test_another_format_than_the_two_is_said() -> None:
    warned = configured("", "jsn").splitlines()
    assert warned[0] == "WARNING c10.log.format C10_LOG_FORMAT: expected json or text, got 'jsn'; using text"


def test_as_text_only_warnings_and_above(corpus: Corpus) -> None:
    corpus.failures = {"aliked": "EngineBuildError"}
    corpus.write()
    done = corpus.doit("engines")
    words = [line.split()[:2] for line in done.stderr.splitlines()]
    assert words == [*[["WARNING", "c10.engine.cache.miss"]] * 3, ["ERROR", "c10.engine.compile.error"]]


def configured(before: str, variable: str = "text") -> str:
    """Return what a program that configures logging its own way sends to standard error."""
    code = f"""
import logging, sys
{before}
from c10.console import events
events.configure_logging()
events.LOGGER.log(logging.WARNING, "a warning", extra={{"event": "c10.test"}})
events.compile_summary(built=1, reused=2, failed=3, duration_s=0.12345)
"""
    environment = {"C10_LOG_FORMAT": variable}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stderr


def test_configured_twice_logs_once() -> None:
    assert configured("") == "WARNING a warning\n"


def test_an_application_with_handlers_of_its_own_keeps_them() -> None:
    assert configured("logging.basicConfig(format='APP %(message)s', level='INFO')") == (
        "APP a warning\nAPP c10.engine.compile.summary 1 built, 2 reused, 3 failed in 0.12 s\n"
    )


def test_json_is_written_whatever_the_application_does() -> None:
    lines = configured("logging.basicConfig(filename='/dev/null')", "json").splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["c10.test", "c10.engine.compile.summary"]
    summary = json.loads(lines[1])
    assert (summary["engines_built"], summary["engines_reused"], summary["engines_failed"]) == (1, 2, 3)
    assert summary["duration_s"] == 0.123
    assert summary["level"] == "INFO"
