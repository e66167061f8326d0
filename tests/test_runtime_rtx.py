"""TensorRT-RTX for real, through doit: the builder's own bytes, which outlive database and checkout."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from harness import TWO_LINES, doit, flip_byte
from onnx import TensorProto, helper, numpy_helper

from c10 import (
    C10ProvisioningConfig,
    CompileOutcome,
    EngineCompileRequest,
    Sha256Sidecar,
    build_backbone_specs,
    convert_network,
)
from c10.host import probe_host
from c10.plugin.compiler import build_engine_compiler
from c10.proof.record import read_record

pytestmark = pytest.mark.skipif(
    find_spec("tensorrt_rtx") is None, reason="TensorRT-RTX is not installed (the extra `rtx`)"
)

LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"
SQUEEZENET = LIGHT / "light_squeezenet.onnx"
SHAPE = [1, 3, 32, 32]


def save_network(
    path: Path, *, free_batch: bool = False, weight: float = 0.5, elem_type: int = TensorProto.FLOAT
) -> None:
    """Write a network of one convolution; ``free_batch`` leaves its batch dimension open."""
    dtype = helper.tensor_dtype_to_np_dtype(elem_type)
    kernel = numpy_helper.from_array(np.full((4, 3, 3, 3), weight, dtype=dtype), "kernel")
    shape: list[Any] = ["batch" if free_batch else 1, 3, 32, 32]
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["input", "kernel"], ["features"]),
            helper.make_node("Relu", ["features"], ["output"]),
        ],
        "network",
        [helper.make_tensor_value_info("input", elem_type, shape)],
        [helper.make_tensor_value_info("output", elem_type, [shape[0], 4, 30, 30])],
        [kernel],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def write_checkout(folder: Path, *, precision: str = "fp16", workspace_mb: int = 256) -> Path:
    """Write the two-line dodo.py and two networks: one of one convolution, and SqueezeNet."""
    folder.mkdir()
    save_network(folder / "tiny.onnx")
    shutil.copy(SQUEEZENET, folder / "squeezenet.onnx")
    (folder / "dodo.py").write_text(TWO_LINES)
    (folder / "backbones.toml").write_text(
        f"""
runtime = "tensorrt_rtx"
precision = "{precision}"
workspace_mb = {workspace_mb}

[[backbones]]
model_name = "tiny"
onnx_path = "tiny.onnx"
expected_input_shape = {SHAPE}

[[backbones]]
model_name = "squeezenet"
onnx_path = "squeezenet.onnx"
expected_input_shape = [1, 3, 224, 224]
input_name = "data_0"
"""
    )
    return folder


def outcomes(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return {model: what for what, model in re.findall(r"^(BUILT|REUSED|FAILED) +(\S+):", done.stdout, re.MULTILINE)}


def engine_of(folder: Path, model: str) -> Path:
    (path,) = (folder / "engines").glob(f"{model}__*.engine")
    return path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout whose engines were built by `doit engines`; tests copy it before they change anything."""
    folder = write_checkout(tmp_path_factory.mktemp("rtx") / "checkout")
    cold = doit(folder, "engines")
    assert outcomes(cold) == {"tiny": "BUILT", "squeezenet": "BUILT"}, cold.stdout + cold.stderr
    return folder


@pytest.fixture
def checkout(built: Path, tmp_path: Path) -> Path:
    """A copy of the built checkout, engines and database included."""
    return Path(shutil.copytree(built, tmp_path / "copy"))


BY_HAND = '''
"""TensorRT-RTX called as its documentation shows, without c10."""
import json, sys
from hashlib import sha256
import tensorrt_rtx as trt

job = json.loads(sys.argv[1])
logger = trt.Logger(trt.Logger.ERROR)
builder = trt.Builder(logger)
network = builder.create_network(0)
parser = trt.OnnxParser(network, logger)
assert parser.parse_from_file(job["onnx"])
config = builder.create_builder_config()
config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, job["workspace_mb"] << 20)
profile = builder.create_optimization_profile()
profile.set_shape(job["input"], job["min"], job["opt"], job["max"])
config.add_optimization_profile(profile)
data = memoryview(builder.build_serialized_network(network, config))
print(json.dumps([sha256(data).hexdigest(), data.nbytes]))
'''


def built_by_hand(onnx_path: Path, input_name: str, **job: Any) -> tuple[str, int]:
    """Return digest and size of what the builder gives; ``job`` has shapes and workspace."""
    argument = json.dumps({"onnx": str(onnx_path), "input": input_name, **job})
    done = subprocess.run([sys.executable, "-c", BY_HAND, argument], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    sha256, size = json.loads(done.stdout.splitlines()[-1])
    return sha256, size


def fixed(shape: list[int]) -> dict[str, list[int]]:
    return {"min": shape, "opt": shape, "max": shape}


def digest_and_size(engine: Path) -> tuple[str, int]:
    return hashlib.sha256(engine.read_bytes()).hexdigest(), engine.stat().st_size


def test_fp16_engine_is_exactly_the_builders_bytes_for_the_converted_network(built: Path, tmp_path: Path) -> None:
    network = tmp_path / "fp16.onnx"
    assert convert_network(built / "tiny.onnx", network, precision="fp16").converted
    by_hand = built_by_hand(network, "input", workspace_mb=256, **fixed(SHAPE))
    assert digest_and_size(engine_of(built, "tiny")) == by_hand


def test_engine_of_a_network_exported_in_fp16_is_exactly_the_builders_bytes(tmp_path: Path) -> None:
    folder = write_checkout(tmp_path / "fp16")
    save_network(folder / "tiny.onnx", elem_type=TensorProto.FLOAT16)
    assert outcomes(doit(folder, "engines:tiny")) == {"tiny": "BUILT"}
    by_hand = built_by_hand(folder / "tiny.onnx", "input", workspace_mb=256, **fixed(SHAPE))
    assert digest_and_size(engine_of(folder, "tiny")) == by_hand


def test_squeezenet_engine_in_fp32_is_exactly_the_builders_bytes(tmp_path: Path) -> None:
    folder = write_checkout(tmp_path / "fp32", precision="fp32", workspace_mb=64)
    assert outcomes(doit(folder, "engines:squeezenet")) == {"squeezenet": "BUILT"}
    engine = engine_of(folder, "squeezenet")
    shape = [1, 3, 224, 224]
    by_hand = built_by_hand(SQUEEZENET, "data_0", workspace_mb=64, **fixed(shape))
    assert digest_and_size(engine) == by_hand


def test_engine_of_a_dynamic_network_is_exactly_the_builders_bytes(tmp_path: Path) -> None:
    save_network(tmp_path / "free.onnx", free_batch=True)
    shapes = {"min": [1, 3, 32, 32], "opt": [2, 3, 32, 32], "max": [8, 3, 32, 32]}
    ranges = ", ".join(f"{bound} = {shape}" for bound, shape in shapes.items())
    (tmp_path / "dodo.py").write_text(TWO_LINES)
    (tmp_path / "backbones.toml").write_text(
        'runtime = "tensorrt_rtx"\nprecision = "fp32"\n[[backbones]]\nmodel_name = "free"\nonnx_path = "free.onnx"\n'
        f"inputs.input = {{{ranges}}}\n"
    )
    assert outcomes(doit(tmp_path, "engines")) == {"free": "BUILT"}
    engine = engine_of(tmp_path, "free")
    by_hand = built_by_hand(tmp_path / "free.onnx", "input", workspace_mb=4096, **shapes)
    assert digest_and_size(engine) == by_hand


def test_names_sidecars_and_records_of_rtx_engines(built: Path) -> None:
    version = probe_host(gpu=False).rtx_version
    assert version is not None
    short = ".".join(version.split(".")[:2])
    assert engine_of(built, "tiny").name == f"tiny__sm80.86.89.120+_jpnone_rtx{short}_fp16.engine"
    for model in ("tiny", "squeezenet"):
        engine = engine_of(built, model)
        assert Sha256Sidecar.verify(engine)
        record = read_record(Path(f"{engine}.json"))
        assert record.sha256 == hashlib.sha256(engine.read_bytes()).hexdigest()
        assert record.definition["internalParameters"]["runtime"]["name"] == "rtx"
        assert record.definition["internalParameters"]["runtime"]["version"] == version
    sidecars = sorted(path.name for path in (built / "engines").glob("*.sha256"))
    check = subprocess.run(["sha256sum", "-c", *sidecars], cwd=built / "engines", capture_output=True, check=False)
    assert check.returncode == 0


def test_again_is_reused(checkout: Path) -> None:
    assert outcomes(doit(checkout, "engines")) == {"tiny": "REUSED", "squeezenet": "REUSED"}
    assert doit(checkout, "info", "engines:tiny").returncode == 0


def test_without_the_database_is_reused_with_no_compile(checkout: Path) -> None:
    for path in checkout.glob(".doit.db*"):
        path.unlink()
    times = {path: path.stat().st_mtime_ns for path in (checkout / "engines").glob("*.engine*")}
    assert outcomes(doit(checkout, "engines")) == {"tiny": "REUSED", "squeezenet": "REUSED"}
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_engines_copied_to_another_checkout_are_reused_until_the_onnx_changes(built: Path, tmp_path: Path) -> None:
    other = write_checkout(tmp_path / "other")
    shutil.copytree(built / "engines", other / "engines")
    assert outcomes(doit(other, "engines")) == {"tiny": "REUSED", "squeezenet": "REUSED"}
    path = other / "tiny.onnx"
    status, before = path.stat(), path.read_bytes()
    save_network(path, weight=0.25)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    assert path.read_bytes() != before
    done = doit(other, "engines")
    assert outcomes(done) == {"tiny": "BUILT", "squeezenet": "REUSED"}
    assert re.search(r"^BUILT  tiny: ONNX changed: sha256 [0-9a-f]{12}… → ", done.stdout, re.MULTILINE)


def test_a_flipped_byte_is_built_again_to_the_same_bytes(checkout: Path) -> None:
    engine = engine_of(checkout, "tiny")
    good = engine.read_bytes()
    flip_byte(engine, 5000)
    assert outcomes(doit(checkout, "engines")) == {"tiny": "BUILT", "squeezenet": "REUSED"}
    assert engine.read_bytes() == good  # TensorRT-RTX is reproducible


def test_a_warm_run_of_the_real_runtime_imports_no_compiler(checkout: Path) -> None:
    at_exit = "import atexit, json, sys; from pathlib import Path\n"
    at_exit += "atexit.register(lambda: Path('modules.json').write_text(json.dumps(sorted(sys.modules))))\n"
    (checkout / "dodo.py").write_text(at_exit + TWO_LINES)
    assert set(outcomes(doit(checkout, "engines", new_python=True)).values()) == {"REUSED"}
    modules = {name.partition(".")[0] for name in json.loads((checkout / "modules.json").read_text())}
    assert "c10" in modules
    assert not modules & {"tensorrt", "tensorrt_rtx", "onnx", "numpy"}


# What the parser and the builder say


def one(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Run one backbone, of a model that lies in the folder."""
    (folder / "dodo.py").write_text(TWO_LINES)
    head = (
        'runtime = "tensorrt_rtx"\nprecision = "fp32"\n[[backbones]]\nmodel_name = "model"\nonnx_path = "model.onnx"\n'
    )
    (folder / "backbones.toml").write_text(head + text)
    return doit(folder, "engines")


def refused(done: subprocess.CompletedProcess[str], folder: Path) -> str:
    """Return the message of a model that failed; nothing of it lies in the cache."""
    assert done.returncode == 1
    assert outcomes(done) == {"model": "FAILED"}
    left = [path.name for path in (folder / "engines").glob("*") if not path.name.startswith(".")]
    assert left == []
    assert not list((folder / "engines").glob(".*.tmp"))
    return done.stdout


def test_the_parsers_own_words_reach_the_user(tmp_path: Path) -> None:
    node = helper.make_node("NoSuchOperator", ["input"], ["output"])
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("input", "output")]
    graph = helper.make_graph([node], "network", value[:1], value[1:])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "model.onnx"
    )
    text = refused(one(tmp_path, ""), tmp_path)
    assert "model.onnx: parse: expected a network, got none" in text
    assert "NoSuchOperator" in text  # the parser's own words


def test_an_empty_onnx(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"")
    assert "model.onnx: parse: expected a network, got " in refused(one(tmp_path, ""), tmp_path)


@pytest.mark.parametrize("content", [b"this is no ONNX", SQUEEZENET.read_bytes()[:4000]], ids=["text", "cut short"])
def test_a_file_that_is_no_onnx(tmp_path: Path, content: bytes) -> None:
    """Refused before the parser sees it: what cannot be listed may name external data."""
    (tmp_path / "model.onnx").write_bytes(content)
    text = refused(one(tmp_path, ""), tmp_path)
    assert "model.onnx: expected an ONNX model, got a file in another format or a truncated one" in text
    assert "Export it again, or restore it" in text


def test_a_wrong_shape_lists_the_models_inputs(tmp_path: Path) -> None:
    save_network(tmp_path / "model.onnx")
    text = refused(one(tmp_path, "expected_input_shape = [1, 3, 64, 64]\n"), tmp_path)
    assert "expected [1, 3, 32, 32], got [1, 3, 64, 64]" in text
    assert "model input: input FLOAT [1, 3, 32, 32]" in text


def test_a_wrong_input_name_lists_the_models_inputs(tmp_path: Path) -> None:
    save_network(tmp_path / "model.onnx")
    text = refused(one(tmp_path, 'expected_input_shape = [1, 3, 32, 32]\ninput_name = "data"\n'), tmp_path)
    assert "data: expected one of the model's inputs, got a name that it does not have" in text
    assert "model input: input FLOAT [1, 3, 32, 32]" in text


def test_a_dynamic_network_without_shapes(tmp_path: Path) -> None:
    save_network(tmp_path / "model.onnx", free_batch=True)
    text = refused(one(tmp_path, ""), tmp_path)
    assert "input: expected a shape for a dynamic input, got none" in text
    assert "model input: input FLOAT [-1, 3, 32, 32]" in text


# From Python


def test_the_composition_root_compiles_for_real(tmp_path: Path) -> None:
    before = {"tensorrt_rtx", "tensorrt"} & sys.modules.keys()
    folder = write_checkout(tmp_path / "checkout")
    config = C10ProvisioningConfig.load(folder / "backbones.toml")
    compiler = build_engine_compiler(config)
    request = EngineCompileRequest(
        backbones=build_backbone_specs(config)[:1],
        cache_root=config.cache_root,
        host=probe_host(gpu=False),
        precision=config.precision,
        workspace_mb=config.workspace_mb,
    )
    (cold,) = compiler.compile_engines_for_corpus(request)
    assert cold.outcome is CompileOutcome.BUILT
    assert cold.compile_duration_s is not None
    assert cold.compile_duration_s > 0
    (warm,) = compiler.compile_engines_for_corpus(request)
    assert (warm.outcome, warm.compile_duration_s) == (CompileOutcome.REUSED, None)
    assert outcomes(doit(folder, "engines:tiny")) == {"tiny": "REUSED"}  # the command line agrees
    loaded = {"tensorrt_rtx", "tensorrt"} & sys.modules.keys()
    assert loaded == before  # the child imported it, not this process
