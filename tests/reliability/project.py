"""A corpus on disk, ``doit`` run on it, and the promise checked: the heart of the reliability tests."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from c10 import SigningPolicy

from .drivers.stub_runtime import fingerprint, read_payload
from .figures import FIGURES
from .signatures import as_toml, problem_of

#: Memory where there is some: fsync costs nothing there, and what it is for is tested on disks.py's disks.
SCRATCH: Final = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - mkdtemp's folder for it
DRIVERS: Final = Path(__file__).parent / "drivers"
HOST: Final[dict[str, Any]] = {
    "sm": "87",
    "jp": "6.2",
    "trt": "10.3",
    "trt_version": "10.3.0.26",
    "sm_count": 16,
    "device_name": "Orin",
}
_LINE = re.compile(r"^(BUILT|REUSED|FAILED|SIGNED) +(\S+?):", re.MULTILINE)
_DODO = """\
import json
from pathlib import Path

from stub_runtime import StubRuntime

from c10.host import HostCapabilities
from c10.tasks import DOIT_CONFIG, engine_tasks

SETTINGS = json.loads(Path("settings.json").read_text())
DOIT_CONFIG = {**DOIT_CONFIG, "dep_file": SETTINGS["dep_file"]}


def task_engines():
    host = SETTINGS["host"]
    yield from engine_tasks("backbones.toml", host=HostCapabilities(**host), runtime=StubRuntime(host))
"""
#: Added to dodo.py where there is somebody who signs engines that are there: ``doit sign``.
_SIGN = """

def task_sign():
    from c10 import sign_engine

    def sign(model, engine):
        sign_engine(engine, SETTINGS["signer"])
        print(f"SIGNED {model}: by another key", flush=True)

    for model, engine in SETTINGS["engines"].items():
        yield {"name": model, "actions": [(sign, [model, engine])], "verbosity": 2}
"""


@dataclass(frozen=True)
class Run:
    """How one ``doit`` ended: exit status (negative: a signal), what it printed."""

    status: int
    out: str
    err: str
    timed_out: bool = False

    @property
    def text(self) -> str:
        """All that it printed."""
        return self.out + self.err

    def models(self, outcome: str) -> set[str]:
        """Return the models with this outcome."""
        return {model for found, model in _LINE.findall(self.out) if found == outcome}


@dataclass(frozen=True, kw_only=True)
class How:
    """The circumstances of a run that are not the ordinary ones."""

    env: dict[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    umask: int = 0o022
    limits: dict[str, int] = field(default_factory=dict)
    uid: int = 0
    obeys_permissions: bool = False
    """Whether root gives up what lets it search and read every directory."""
    tokens: str = ""
    traced: bool = False
    timeout: float = 60


ORDINARY: Final = How()


class Zygote:
    """The client of drivers/zygote.py; ``package`` is the folder of another c10 to import.

    ``environment``: the variables of this process unless they are given, without its PYTHONPATH.
    """

    def __init__(self, package: Path | None = None, *, environment: Mapping[str, str] | None = None) -> None:
        ours = {**os.environ, "PYTHONPATH": str(package or "")}
        self._process = subprocess.Popen(
            [sys.executable, str(DRIVERS / "zygote.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**(ours if environment is None else environment), "PYTHONHASHSEED": "0"},
            text=True,
        )

    def start(self, cwd: Path, argv: list[str], stdout: Path, stderr: Path, how: How) -> int:
        """Start ``doit argv`` and return its process id."""
        job = {"op": "start", "cwd": str(cwd), "argv": argv, "stdout": str(stdout), "stderr": str(stderr)}
        return int(self._ask({**job, **vars(how)})["pid"])

    def wait(self, pid: int, timeout: float) -> tuple[int, bool]:
        """Return exit status and whether it had to be killed for time."""
        answer = self._ask({"op": "wait", "pid": pid, "timeout": timeout})
        return answer["status"], answer["timed_out"]

    @staticmethod
    def pause(seconds: float) -> None:
        """Let what was started go on for a while."""
        time.sleep(seconds)

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return dict(json.loads(self._process.stdout.readline()))


@dataclass
class Started:
    """A ``doit`` under way."""

    project: Project
    pid: int
    stdout: Path
    stderr: Path
    how: How

    def kill(self) -> None:
        """kill -9, as an operator would: the one process."""
        os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> Run:
        """Return how it ended; a traceback counts wherever it is seen."""
        status, timed_out = self.project.zygote.wait(self.pid, self.how.timeout)
        out, err = (path.read_text("utf-8", "replace") for path in (self.stdout, self.stderr))
        FIGURES["tracebacks"] += "Traceback" in out + err
        return Run(status, out, err, timed_out)


class Project:
    """A folder with a dodo.py, a backbones.toml and ONNX files, and its engines, perhaps on another disk."""

    def __init__(self, root: Path, zygote: Zygote, models: tuple[str, ...] = ("alpha", "beta")) -> None:
        self.root = root
        self.zygote = zygote
        self.models = models
        self.cache = root / "engines"
        self.dep_file = str(root / ".doit.db")
        self.host = dict(HOST)
        self.workspace_mb = 4096
        self.signing = SigningPolicy()
        self.signer: Path | None = None
        self._runs = 0
        (root / "models").mkdir(parents=True)
        for model in models:
            self.set_onnx(model, b"version one")
        self.write()

    def onnx(self, model: str) -> Path:
        """Return the model's ONNX."""
        return self.root / "models" / f"{model}.onnx"

    def weights(self, model: str) -> Path:
        """Return the model's external data."""
        return self.root / "models" / f"{model}.weights"

    def set_onnx(self, model: str, content: bytes, weights: bytes | None = None) -> None:
        """Write a model, with external data where ``weights`` are given."""
        location = None if weights is None else f"{model}.weights"
        self.onnx(model).write_bytes(onnx_file(content, location))
        if weights is None:
            self.weights(model).unlink(missing_ok=True)
        else:
            self.weights(model).write_bytes(weights)

    def write(self) -> None:
        """Write configuration and settings as the attributes are."""
        lines = [f"cache_root = '{self.cache}'", f"workspace_mb = {self.workspace_mb}", *as_toml(self.signing)]
        for model in self.models:
            lines += ["[[backbones]]", f'model_name = "{model}"', f'onnx_path = "models/{model}.onnx"']
        (self.root / "backbones.toml").write_text("\n".join(lines) + "\n", "utf-8")
        settings: dict[str, Any] = {"host": self.host, "dep_file": self.dep_file}
        if self.signer is not None:
            settings["signer"] = str(self.signer)
            settings["engines"] = {model: str(self.engine(model)) for model in self.models}
        (self.root / "settings.json").write_text(json.dumps(settings), "utf-8")
        (self.root / "dodo.py").write_text(_DODO + (_SIGN if self.signer else ""), "utf-8")

    def behave(self, **plan: Any) -> None:
        """Tell the runtime how to behave from now on."""
        (self.root / "stub.json").write_text(json.dumps(plan), "utf-8")

    def compiles(self) -> list[str]:
        """Return the engines that were compiled so far, in order."""
        try:
            lines = (self.root / "ledger.jsonl").read_text("utf-8").splitlines()
        except FileNotFoundError:
            return []
        return [json.loads(line)[0] for line in lines]

    def engine(self, model: str) -> Path:
        """Return where the model's engine lies on this host."""
        host = self.host
        return self.cache / f"{model}__sm{host['sm']}_jp{host['jp']}_trt{host['trt']}_fp16.engine"

    def files(self, model: str) -> tuple[Path, Path, Path]:
        """Return engine, sidecar and record."""
        engine = self.engine(model)
        return engine, Path(f"{engine}.sha256"), Path(f"{engine}.json")

    def envelope(self, model: str) -> Path:
        """Return where the engine's signature lies, where there is one."""
        return Path(f"{self.engine(model)}.dsse.json")

    def start(self, *argv: str, how: How = ORDINARY) -> Started:
        """Start ``doit argv``."""
        self._runs += 1
        out, err = (self.root / f".{name}-{self._runs}" for name in ("out", "err"))
        for path in (out, err):  # it may be killed before it has opened them
            path.touch()
        pid = self.zygote.start(self.root, list(argv or ("engines",)), out, err, how)
        return Started(self, pid, out, err, how)

    def run(self, *argv: str, how: How = ORDINARY) -> Run:
        """Run ``doit argv`` and check the promise on what it says."""
        run = self.start(*argv, how=how).wait()
        self.check(run)
        return run

    def inputs(self, model: str) -> str:
        """Return the fingerprint of what an engine has to be built from now."""
        weights = self.weights(model).read_bytes() if self.weights(model).is_file() else b""
        return fingerprint(self.onnx(model).read_bytes(), weights, self.workspace_mb, "fp16", self.host)

    def check(self, run: Run) -> None:
        """The promise: what is said to be there is whole, and built from exactly what is asked for now."""
        assert not run.timed_out, f"no end within the time given:\n{run.text}"
        assert "Traceback" not in run.text, run.text
        for outcome in ("REUSED", "BUILT"):
            for model in run.models(outcome):
                problem = self.problem(model)
                FIGURES["wrong engines reused"] += bool(problem) and outcome == "REUSED"
                assert not problem, f"{outcome} {model}: {problem}\n{run.text}"

    def problem(self, model: str) -> str:
        """Return what is wrong with a model's files for the inputs and the policy of now; empty where nothing is."""
        engine, sidecar, record = self.files(model)
        data = engine.read_bytes()
        head = read_payload(data)
        sha256 = hashlib.sha256(data).hexdigest()
        if head is None:
            return f"not an engine that was ever built ({len(data)} bytes)"
        if head["inputs"] != self.inputs(model):
            return "built from other inputs"
        if sidecar.read_text("ascii") != f"{sha256}  {engine.name}\n":
            return "the sidecar is not the engine's"
        if json.loads(record.read_bytes())["subject"][0]["digest"]["sha256"] != sha256:
            return "the record is not the engine's"
        return problem_of(self.envelope(model), record.read_bytes(), self.signing)

    def temporaries(self) -> list[str]:
        """Return the temporary files in the engines' folder."""
        return sorted(path.name for path in self.cache.glob(".*.tmp")) if self.cache.is_dir() else []


def onnx_file(content: bytes, location: str | None = None) -> bytes:
    """Return the least ModelProto that holds these bytes (as its producer's name) and names external data."""
    data = _field(2, content)
    if location is not None:
        entry = _field(1, b"location") + _field(2, location.encode())
        data += _field(7, _field(5, _field(13, entry) + b"\x70\x01"))
    return data


def _field(number: int, content: bytes) -> bytes:
    length, size = b"", len(content)
    while size > 0x7F:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content
