"""The corpus and the host of ACCEPTANCE.md in a folder, and the two ways to run it: doit and EngineCompiler."""

from __future__ import annotations

import json
import logging
import os
import re
import sqlite3
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from fake_runtime import PLAN, planned
from warm_doit import path_of_tests, run_doit, start_doit

from c10 import C10ProvisioningConfig, EngineCompiler, EngineCompileRequest, EngineCompileResult, build_backbone_specs
from c10.files.naming import EngineFilenameSchema

MODELS = ("dinov2_vpr", "lightglue", "aliked")
HOST: Mapping[str, Any] = {"sm": "87", "jp": "6.2", "trt": "10.3"}
TESTS = Path(__file__).parent

DODO = '''\
"""A corpus with a stand-in for the compiler."""
from c10.tasks import DOIT_CONFIG, engine_tasks
from fake_runtime import planned


def task_engines():
    """TensorRT engines, one per backbone"""
    host, runtime = planned()
    yield from engine_tasks("backbones.toml", host=host, runtime=runtime)
'''

TWO_LINES = "from c10.tasks import DOIT_CONFIG, task_engines\n"


@dataclass(frozen=True)
class Event:
    """One log event, as ``record.event`` and the record's fields, or as the JSON line that says the same."""

    name: str
    level: str
    fields: Mapping[str, Any]


class Events(list[Event]):
    """The events of a run, in order."""

    def named(self, name: str) -> list[Event]:
        return [event for event in self if event.name == name]

    def one(self, name: str) -> Event:
        (event,) = self.named(name)
        return event

    def models(self, name: str) -> list[str]:
        return [event.fields["model_name"] for event in self.named(name)]


@dataclass(frozen=True)
class Run:
    """What one run came to, whichever way it was driven."""

    outcomes: Mapping[str, str]
    durations: Mapping[str, float | None]
    events: Events
    calls: list[str]
    error: BaseException | None = None
    rc: int = 0
    stdout: str = ""
    stderr: str = ""
    results: tuple[EngineCompileResult, ...] = ()

    def reason(self, model_name: str) -> str:
        """Return the words that say why a model was built."""
        (event,) = [e for e in self.events.named("c10.engine.cache.miss") if e.fields["model_name"] == model_name]
        return str(event.fields["message"])


def onnx_bytes(text: str) -> bytes:
    """Return a model of no graph: a ModelProto with a producer name, which is all that a fake needs."""
    name = text.encode()
    return b"\x08\x08" + b"\x12" + bytes([len(name)]) + name


def onnx_with_external_data(location: str) -> bytes:
    """Return a ModelProto whose one initializer lies in an external file."""
    entry = _field(1, b"location") + _field(2, location.encode())
    tensor = b"\x08\x04\x10\x01" + _field(8, b"weights") + _field(13, entry) + b"\x70\x01"
    return b"\x08\x08" + _field(7, _field(5, tensor))


def _field(number: int, payload: bytes) -> bytes:
    return bytes([number << 3 | 2, len(payload)]) + payload


def flip_byte(path: Path, offset: int = 7) -> None:
    """Change one byte of a file; size, inode and mtime stay."""
    status = path.stat()
    with path.open("r+b") as file:
        file.seek(offset)
        (byte,) = file.read(1)
        file.seek(offset)
        file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def snapshot(folder: Path, *, times: bool = True) -> dict[str, tuple[bytes, int]]:
    """Return every file's bytes and mtime, hidden ones too, without the locks."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns if times else 0)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".locks" not in path.parts
    }


@dataclass
class Corpus:
    """A checkout: backbones.toml, ONNX files, dodo.py; change an attribute and ``write`` it again."""

    folder: Path
    models: tuple[str, ...] = MODELS
    host: dict[str, Any] = field(default_factory=lambda: dict(HOST))
    failures: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=lambda: {"precision": "fp16"})
    backbone: dict[str, dict[str, Any]] = field(default_factory=dict)
    dodo: str = DODO
    new_python: bool = False
    """Whether doit runs in a Python that starts with it, for what is about imports and the end of a process."""

    @property
    def engines(self) -> Path:
        return self.folder / "engines"

    def onnx(self, model_name: str) -> Path:
        return self.folder / "models" / f"{model_name}.onnx"

    def engine(self, model_name: str) -> Path:
        """Return the path that the filename schema gives on this host."""
        name = EngineFilenameSchema.build(
            model_name=model_name,
            sm=self.host["sm"],
            jp=self.host["jp"],
            trt=self.host["trt"],
            precision=self.backbone.get(model_name, {}).get("precision", self.settings["precision"]),
        )
        return self.engines / name

    def write(self) -> Corpus:
        """Write what is configured; ONNX files that are there stay."""
        (self.folder / "models").mkdir(parents=True, exist_ok=True)
        lines = [f"{key} = {json.dumps(value)}" for key, value in self.settings.items()]
        for name in self.models:
            if not self.onnx(name).exists():
                self.onnx(name).write_bytes(onnx_bytes(name))
            values = {
                "model_name": name,
                "onnx_path": f"models/{name}.onnx",
                "expected_input_shape": [1, 3, 322, 322],
                **self.backbone.get(name, {}),
            }
            lines += ["[[backbones]]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
        (self.folder / "backbones.toml").write_text("\n".join(lines) + "\n", "utf-8")
        (self.folder / "dodo.py").write_text(self.dodo, "utf-8")
        (self.folder / PLAN).write_text(json.dumps({"host": self.host, "failures": self.failures}), "utf-8")
        return self

    def doit(self, *arguments: str, json_log: bool = False) -> subprocess.CompletedProcess[str]:
        """Run the real doit in a process of its own."""
        return doit(self.folder, *arguments, json_log=json_log, new_python=self.new_python)

    def calls(self) -> list[str]:
        """Return the models that the runtime was called for, in order, over all runs."""
        calls = self.folder / "calls.txt"
        return calls.read_text("utf-8").split() if calls.exists() else []


def doit(
    folder: Path, *arguments: str, json_log: bool = False, obeys_permissions: bool = False, new_python: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run doit as a user does, but for the fake runtime's module on the path, and perhaps without root's rights."""
    environment = {k: v for k, v in os.environ.items() if k != "C10_LOG_FORMAT"}
    environment["PYTHONPATH"] = path_of_tests(os.environ)
    if json_log:
        environment["C10_LOG_FORMAT"] = "json"
    if new_python:
        return start_doit(folder, arguments, environment)
    return run_doit(folder, arguments, environment, obeys_permissions=obeys_permissions)


Driver = Literal["doit", "EngineCompiler"]


def run(driver: Driver, corpus: Corpus, *options: str) -> Run:
    """Run the corpus as it is written now, one way or the other."""
    corpus.write()
    before = len(corpus.calls())
    one_run = _run_doit(corpus, options) if driver == "doit" else _run_compiler(corpus)
    return Run(**{**vars(one_run), "calls": corpus.calls()[before:]})


def _run_doit(corpus: Corpus, options: tuple[str, ...]) -> Run:
    done = corpus.doit(*options, "engines", json_log=True)
    lines = re.findall(r"^(BUILT|REUSED|FAILED) +([^ :]+):", done.stdout, re.MULTILINE)
    outcomes = {model: outcome for outcome, model in lines}
    assert len(lines) == len(outcomes), done.stdout  # one line an engine
    logged = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    events = Events(Event(entry["event"], entry["level"], entry) for entry in logged)
    database = saved_values(corpus.folder / ".doit.db")
    durations = {
        model: database[f"engines:{model}"].get("duration_s") for model in outcomes if outcomes[model] != "FAILED"
    }
    return Run(outcomes, durations, events, [], rc=done.returncode, stdout=done.stdout, stderr=done.stderr)


def saved_values(database: Path) -> dict[str, dict[str, Any]]:
    """Return what doit's database keeps of each task."""
    connection = sqlite3.connect(database)
    try:
        rows = connection.execute("select task_id, task_data from doit").fetchall()
    finally:
        connection.close()
    return {task: json.loads(data).get("_values_:", {}) for task, data in rows}


class _Keep(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.events = Events()

    def emit(self, record: logging.LogRecord) -> None:
        fields = {**vars(record), "message": record.getMessage()}
        self.events.append(Event(getattr(record, "event", ""), record.levelname, fields))


class Listening:
    """Keeps the records of the logger ``c10`` for the length of a block."""

    def __enter__(self) -> Events:
        logger = logging.getLogger("c10")
        self._keep, self._level = _Keep(), logger.level
        logger.addHandler(self._keep)
        logger.setLevel(logging.INFO)
        return self._keep.events

    def __exit__(self, *_: object) -> None:
        logger = logging.getLogger("c10")
        logger.removeHandler(self._keep)
        logger.setLevel(self._level)


def request_of(corpus: Corpus) -> EngineCompileRequest:
    """Return the request that says what the corpus's backbones.toml says."""
    config = C10ProvisioningConfig.load(corpus.folder / "backbones.toml")
    return EngineCompileRequest(
        backbones=build_backbone_specs(config),
        cache_root=config.cache_root,
        host=planned(corpus.folder)[0],
        precision=config.precision,
        workspace_mb=config.workspace_mb,
        signing=config.signing,
    )


def _run_compiler(corpus: Corpus) -> Run:
    results: tuple[EngineCompileResult, ...] = ()
    error: BaseException | None = None
    with Listening() as events:
        try:
            results = EngineCompiler(planned(corpus.folder)[1]).compile_engines_for_corpus(request_of(corpus))
        except Exception as raised:  # noqa: BLE001 - handed to the test whole
            error = raised
    return Run(
        {result.model_name: result.outcome.value for result in results},
        {result.model_name: result.compile_duration_s for result in results},
        events,
        [],
        error=error,
        rc=0 if error is None else 1,
        results=results,
    )
