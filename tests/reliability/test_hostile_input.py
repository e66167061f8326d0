"""Files made by somebody who means harm, or by nobody who meant anything: a clear error, soon, in little memory."""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from c10.corpus.config import C10ProvisioningConfig
from c10.errors import ConfigError, InvalidSidecarError, RecordError, SourceError
from c10.files.onnx_files import external_data_files
from c10.files.sidecar import parse_sidecar
from c10.proof.record import parse_record

from .figures import FIGURES
from .project import How, Project, Run, onnx_file
from .real import light_model, needs_rtx

SEED = 10
NOBODY = 65534
MB = 1 << 20
#: What a run with a hostile file may use: processor seconds, bytes of memory, seconds on the clock.
BOUNDED = How(limits={"RLIMIT_CPU": 20, "RLIMIT_AS": 2048 * MB}, timeout=30)
COUNTS = pytest.mark.parametrize("count", [400, pytest.param(10_000, marks=pytest.mark.soak)], ids=["sample", "long"])
TOML = """\
cache_root = "engines"
runtime = "tensorrt_rtx"
workspace_mb = 512
[signing]
trusted_keys = ["a.pub"]
[[backbones]]
model_name = "alpha"
onnx_path = "models/alpha.onnx"
expected_input_shape = [1, 3, 224, 224]
[[backbones]]
model_name = "beta"
onnx_path = "models/beta.onnx"
builder_optimization_level = 3
[backbones.inputs.image]
min = [1, 3, 8, 8]
opt = [2, 3, 8, 8]
max = [4, 3, 8, 8]
"""


def mutations(seed: bytes, count: int) -> list[bytes]:
    """Return damaged copies: bits flipped, parts cut out, doubled, moved, replaced by what parsers dislike."""
    chance = random.Random(SEED)  # noqa: S311
    nasty = [b"\0", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"[" * 5000, b'{"a":' * 3000, b"9" * 5000, b"1e999"]
    nasty += [
        b"-1",
        b"../../../etc/passwd",
        b"\xed\xa0\x80",
        b"'''",
        b"\n",
        b"nan",
        b"99999999999999999999",
        b"a" * 70_000,
    ]
    results = []
    for _ in range(count):
        data = bytearray(seed)
        for _ in range(chance.choice((1, 1, 2, 5))):
            at, to = sorted((chance.randrange(len(data) + 1), chance.randrange(len(data) + 1)))
            match chance.randrange(6):
                case 0 if data:
                    data[min(at, len(data) - 1)] ^= 1 << chance.randrange(8)
                case 1:
                    del data[at:to]
                case 2:
                    data[at:at] = data[at : min(to, at + 1000)]
                case 3:
                    del data[at:]
                case 4:
                    data[at:at] = chance.choice(nasty)
                case _:
                    data[at : at + 4] = chance.randbytes(4)
        results.append(bytes(data))
    return results


def _refused_or_read(read: Callable[[], Any], *refusals: type[Exception]) -> None:
    started = time.process_time()
    try:
        read()
    except refusals as error:
        assert len(str(error)) < 20_000, "a message nobody can read"  # noqa: PT017 - either way is right
    assert time.process_time() - started < 10  # bounded; no statement on speed
    FIGURES["fuzz inputs"] += 1


@COUNTS
def test_backbones_toml(folder: Path, count: int) -> None:
    path = folder / "backbones.toml"
    for data in mutations(TOML.encode(), count):
        path.write_bytes(data)
        _refused_or_read(lambda: C10ProvisioningConfig.load(path), ConfigError)


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_KEYS = [
    "backbones",
    "cache_root",
    "runtime",
    "precision",
    "workspace_mb",
    "jetpack",
    "image",
    "signing",
    "model_name",
    "onnx_path",
    "profiles",
    "inputs",
    "expected_input_shape",
    "input_name",
    "dla_core",
    "compute_capabilities",
    "plugins",
    "calibration_cache",
    "timeout_s",
    "min",
    "opt",
    "max",
]


@settings(max_examples=150, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.dictionaries(
        st.sampled_from(_KEYS),
        _values | st.lists(st.dictionaries(st.sampled_from(_KEYS), _values, max_size=6), max_size=3),
        max_size=6,
    )
)
@example({"backbones": [{"model_name": "../../etc", "onnx_path": "\0"}]})
def test_values_of_any_kind_in_a_configuration(document: dict[str, Any]) -> None:
    _refused_or_read(lambda: C10ProvisioningConfig.from_mapping(document), ConfigError)


@COUNTS
def test_sidecars(count: int) -> None:
    name = "alpha__sm87_jp6.2_trt10.3_fp16.engine"
    for data in mutations(b"0123456789abcdef" * 4 + b"  " + name.encode() + b"\n", count):
        _refused_or_read(lambda data=data: parse_sidecar(data, name, Path("x")), InvalidSidecarError)


@COUNTS
def test_records(project: Project, count: int) -> None:
    project.run("engines:alpha")
    path = project.files("alpha")[2]
    whole = path.read_bytes()
    for data in mutations(whole, count):
        _refused_or_read(lambda data=data: parse_record(data, path), RecordError)
    for keys in _paths(json.loads(whole)):
        for value in (None, 5, "x", [], {}, [{}], -1, 1e308, "9" * 100):
            _refused_or_read(lambda k=keys, v=value: parse_record(_with(whole, k, v), path), RecordError)


def _paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at] * bool(at) + [path for key, inner in items for path in _paths(inner, (*at, key))]


def _with(whole: bytes, keys: tuple[Any, ...], value: Any) -> bytes:
    document = json.loads(whole)
    place = document
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    return json.dumps(document).encode()


@COUNTS
def test_onnx_files(folder: Path, count: int) -> None:
    path = folder / "model.onnx"
    for data in mutations(onnx_file(b"producer", "model.weights") * 3, count):
        path.write_bytes(data)
        _refused_or_read(lambda: external_data_files(path), SourceError)


# Whole runs, each with little memory and time.


def _ends_clearly(project: Project, how: How = BOUNDED) -> Run:
    FIGURES["fuzz inputs"] += 1
    run = project.run(how=how)
    assert run.status in {0, 1, 3}, run.text
    assert run.status == 0 or "expected" in run.text, run.text
    assert project.temporaries() == []
    return run


@pytest.mark.parametrize("count", [25, pytest.param(400, marks=pytest.mark.soak)], ids=["sample", "long"])
@pytest.mark.parametrize("which", ["backbones.toml", "sidecar", "record", "onnx"])
def test_whole_runs(project: Project, which: str, count: int) -> None:
    project.run()
    path = {
        "backbones.toml": project.root / "backbones.toml",
        "sidecar": project.files("alpha")[1],
        "record": project.files("alpha")[2],
        "onnx": project.onnx("alpha"),
    }[which]
    for data in mutations(path.read_bytes(), count):
        path.write_bytes(data)
        if which == "backbones.toml":  # what it asks for now is not what the checks know of
            FIGURES["fuzz inputs"] += 1
            run = project.start("list", "--all", "--status", how=BOUNDED).wait()  # nothing is built where it points to
            assert "Traceback" not in run.text, run.text
            assert run.status in {0, 3}, run.text
        else:
            _ends_clearly(project)


def _deep(levels: int) -> bytes:
    data = b""
    for _ in range(levels):  # graph → node → attribute → graph
        data = b"".join(b"\x0a" + _length(data) + data for _ in range(1)) if len(data) < 1 else data
        data = b"\x32" + _length(data) + data
        data = b"\x2a" + _length(data) + data
        data = b"\x0a" + _length(data) + data
    return b"\x3a" + _length(data) + data


def _length(data: bytes) -> bytes:
    size, out = len(data), b""
    while size > 0x7F:
        out += bytes([size & 0x7F | 0x80])
        size >>= 7
    return out + bytes([size])


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(4 << 30)


HOSTILE: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_bytes(b"<html>not found</html>" * 1000),
    "one byte": lambda path: path.write_bytes(b"\x08"),
    "four gigabytes of zeros": _sparse,
    "a length beyond the end": lambda path: path.write_bytes(b"\x3a\xff\xff\xff\xff\x7f"),
    "an endless varint": lambda path: path.write_bytes(b"\xff" * MB),
    "many fields": lambda path: path.write_bytes(b"\x08\x01" * 200_000),
    "graphs in graphs": lambda path: path.write_bytes(_deep(20_000)),
    "external data outside": lambda path: path.write_bytes(onnx_file(b"", "../../../../etc/passwd")),
    "external data at an absolute path": lambda path: path.write_bytes(onnx_file(b"", "/etc/passwd")),
    "external data through a symlink": lambda path: (
        path.with_name("link").symlink_to("/etc"),
        path.write_bytes(onnx_file(b"", "link/passwd")),
    ),
    "external data through a symlink to a device": lambda path: (
        path.with_name("link").symlink_to("/dev"),
        path.write_bytes(onnx_file(b"", "link/zero")),
    ),
    "external data through a symlink to itself": lambda path: (
        path.with_name("link").symlink_to("link"),
        path.write_bytes(onnx_file(b"", "link")),
    ),
    "external data that leaves through a symlink": lambda path: (
        path.with_name("link").symlink_to("/etc"),
        path.write_bytes(onnx_file(b"", "link/../etc/passwd")),
    ),
    "external data that is missing": lambda path: path.write_bytes(onnx_file(b"", "nothing.bin")),
    "external data that is the folder": lambda path: path.write_bytes(onnx_file(b"", ".")),
    "external data with a zero byte": lambda path: path.write_bytes(onnx_file(b"", "a\0b")),
    "external data that is a FIFO": lambda path: (
        os.mkfifo(path.with_name("pipe")),
        path.write_bytes(onnx_file(b"", "pipe")),
    ),
    "external data with a name too long": lambda path: path.write_bytes(onnx_file(b"", "n" * 5000)),
    "a directory": lambda path: path.mkdir(),
    "a FIFO": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a symlink to itself": lambda path: path.symlink_to(path),
    "nothing": lambda path: None,  # noqa: ARG005
}
#: What can be compiled as far as c10 can tell: what it is, the real parser says.
#: A link at a location inside the folder leads where its owner wants (Hugging Face, git-annex, DVC): that is hashed.
HARMLESS = {"empty", "four gigabytes of zeros", "many fields", "external data through a symlink"}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_onnx(project: Project, kind: str) -> None:
    project.onnx("alpha").unlink()
    HOSTILE[kind](project.onnx("alpha"))
    if kind == "four gigabytes of zeros":  # nobody's fingerprint of it fits in memory: c10's own steps alone
        _refused_or_read(lambda: external_data_files(project.onnx("alpha")), SourceError)
        return
    run = _run_unchecked(project)
    if kind in HARMLESS:
        assert run.models("BUILT") == set(project.models), run.text
    else:
        assert run.models("FAILED") == {"alpha"}, run.text
        assert "expected" in run.out
        shutil.rmtree(project.root / "models")
        (project.root / "models").mkdir()
        project.set_onnx("alpha", b"one that is good")
        project.set_onnx("beta", b"one that is good")
        assert project.run().status == 0


def _run_unchecked(project: Project) -> Run:
    FIGURES["fuzz inputs"] += 1
    run = project.start("--continue", "engines", how=BOUNDED).wait()
    assert "Traceback" not in run.text, run.text
    assert not run.timed_out
    assert run.status in {0, 1, 2}, run.text  # 2: doit, of the group whose task failed
    return run


@pytest.mark.parametrize(
    "kind", ["a directory", "a FIFO", "a device", "a symlink to itself", "empty", "text", "nothing"]
)
@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_hostile_file_beside_a_good_engine(project: Project, which: int, kind: str) -> None:
    project.run()
    path = project.files("alpha")[which]
    path.unlink()
    HOSTILE[kind](path)
    run = _run_unchecked(project)
    assert run.models("REUSED") == {"beta"}
    assert run.models("BUILT" if kind != "a directory" else "FAILED") == {"alpha"}, run.text


@pytest.mark.parametrize("kind", ["a directory", "a FIFO", "a symlink to itself", "empty", "text", "nothing"])
def test_a_hostile_backbones_toml(project: Project, kind: str) -> None:
    path = project.root / "backbones.toml"
    path.unlink()
    HOSTILE[kind](path)
    FIGURES["fuzz inputs"] += 1
    run = project.start(how=BOUNDED).wait()
    assert not run.timed_out, "it hangs"
    assert "Traceback" not in run.text, run.text
    assert (run.status, kind) == (0, "empty") or "backbones.toml: expected" in run.err, run.text


@pytest.mark.root
@pytest.mark.parametrize("which", ["models/alpha.onnx", "models", "backbones.toml"])
def test_no_permission(project: Project, which: str) -> None:
    for path in (project.root, project.root.parent):
        path.chmod(0o777)
    (project.root / which).chmod(0)
    out, err = project.root.parent / "out", project.root.parent / "err"
    pid = project.zygote.start(project.root, ["engines"], out, err, How(uid=NOBODY))
    status, _ = project.zygote.wait(pid, 30)
    text = out.read_text() + err.read_text()
    FIGURES["fuzz inputs"] += 1
    assert status in {1, 3}, text
    assert "Traceback" not in text, text
    assert "Permission denied" in text, text


@needs_rtx
@pytest.mark.parametrize(
    "kind",
    ["empty", "text", "cut short", "huge dimensions", "huge initializer", "graphs in graphs", "no outputs", "cycle"],
)
def test_a_real_compiler_given_a_hostile_onnx(folder: Path, kind: str) -> None:
    import onnx

    from c10.corpus.spec import BuildConfig
    from c10.errors import EngineBuildError
    from c10.host import HostCapabilities
    from c10.host.probe import probe_host
    from c10.runtimes.isolated import IsolatedRuntime

    path = folder / "model.onnx"
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    tensor = onnx.helper.make_tensor_value_info

    def save(nodes: list[Any], shape: list[int], outputs: list[str], extra: Any = None) -> None:
        inputs = [tensor("x", onnx.TensorProto.FLOAT, shape)]
        graph = onnx.helper.make_graph(
            nodes, "g", inputs, [tensor(o, onnx.TensorProto.FLOAT, shape) for o in outputs], extra or []
        )
        path.write_bytes(onnx.helper.make_model(graph).SerializeToString())

    if kind == "cut short":
        whole = light_model("squeezenet").read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "huge dimensions":
        save([node], [2**31, 2**31, 2**31], ["y"])
    elif kind == "huge initializer":
        claim = onnx.TensorProto(dims=[2**40], data_type=onnx.TensorProto.FLOAT, name="w", raw_data=b"1234")
        save([onnx.helper.make_node("Add", ["x", "w"], ["y"])], [1], ["y"], [claim])
    elif kind == "no outputs":
        save([node], [1], [])
    elif kind == "cycle":
        save([onnx.helper.make_node("Add", ["x", "y"], ["z"]), onnx.helper.make_node("Relu", ["z"], ["y"])], [1], ["y"])
    else:
        HOSTILE[kind](path)
    host: HostCapabilities = probe_host(gpu=False)
    runtime = IsolatedRuntime("rtx", host)
    FIGURES["fuzz inputs"] += 1
    with pytest.raises(EngineBuildError, match="expected"):
        runtime.compile_engine(path, BuildConfig(precision="fp32"), folder / "x.engine")
    assert [p.name for p in folder.iterdir()] == ["model.onnx"]
