"""Real models: what c10's conversion makes of a folder of ONNX files. `FOLDER [--precision bf16] [--only PATTERN]`.

Prints a line for each model, and below the table whatever failed. `FOLDER/shapes.toml` gives the inputs a shape where
the model leaves it open, and says what they are filled with; floats are normal and integers 0 or 1 otherwise:

    ["model.onnx"]
    input = [1, 576]
    tokens = { shape = [1, 40], high = 100 }
    sampling_rate = { shape = [], value = 16000 }
    audio = { shape = [1, 16000], file = "audio.npy" }

TensorRT-RTX builds each file by hand, without c10, in a process of its own. The deviations are those that c10 measures,
as part of the range of the worst output: on the inputs above, and on the synthetic ones that c10 makes of their shapes.
"not finite" counts the values of all outputs that were finite in the original.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from c10.conversion import convert_network
from c10.conversion.model import graphs_of, tensors_of
from c10.corpus.spec import OptimizationProfile, ShapeRange
from c10.measurement.isolated import measure as deviations
from c10.measurement.job import MeasurementJob
from c10.measurement.report import MeasurementReport
from c10.measurement.samples import find_samples

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Inputs = dict[str, dict[str, Any]]
HEAD = "model | nodes | weights MB | in half | convert s | fp32 builds | {} builds | deviation | synthetic | stays fp32"
ROUNDS, NOT_KNOWN = 3, "–"


def main() -> int:
    """Print the table; return 1 if a model could not be converted, or builds in fp32 and not as converted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--precision", choices=["fp16", "bf16"], default="fp16")
    parser.add_argument("--only", default="*.onnx", help="a pattern of file names")
    parser.add_argument("--build", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.build is not None:
        print(build(args.folder, json.loads(args.build)), flush=True)
        return 0
    shapes = tomllib.loads(toml.read_text("utf-8")) if (toml := args.folder / "shapes.toml").is_file() else {}
    print(f"| {HEAD.format(args.precision)} |\n{'| --- ' * (HEAD.count('|') + 1)}|")
    notes: list[str] = []
    for path in sorted(args.folder.rglob(args.only)):
        cells: list[str] = []  # a failure leaves what was measured before it
        try:
            found = measure(path, shapes.get(path.name, {}), args.precision, cells)
        except Exception as error:  # noqa: BLE001  # protobuf's, c10's, or of a wrong shapes.toml: the user's to read
            found = [f"FAILED: {type(error).__name__}: {error}"]
        cells += [NOT_KNOWN] * (HEAD.count("|") - len(cells))
        print(f"| {' | '.join([path.stem, *cells])} |", flush=True)
        notes += [f"- {path.stem}: {' '.join(note.split())[:300]}" for note in found]
    print("", *notes, sep="\n")
    return int(any(": FAILED: " in note for note in notes))


def measure(path: Path, given: dict[str, Any], precision: Any, cells: list[str]) -> list[str]:
    """Fill the cells of a model's line; return what went wrong."""
    inputs = inputs_of(proto := onnx.load(path), given)
    weights = sum(prod(t.dims) * 4 for t in tensors_of(proto) if t.data_type == TensorProto.FLOAT)
    cells += [f"{sum(len(graph.node) for graph in graphs_of(proto.graph))}", f"{weights / 1e6:.2f}"]
    with tempfile.TemporaryDirectory(prefix="c10-real-models-") as folder:
        output, times = Path(folder) / "converted.onnx", [time.perf_counter()]
        for _ in range(ROUNDS):
            result = convert_network(path, output, precision=precision)
            times.append(time.perf_counter())
        kept = ", ".join(f"{n} {name}" for name, n in Counter(k.operator for k in result.kept).most_common(4))
        took = f"{statistics.median(after - before for before, after in pairwise(times)):.2f}"
        cells += [f"{result.weight_share:.4f}" if result.converted else "none", took]
        if inputs is None:
            return ["not built: shapes.toml gives no shape for a free dimension"]
        errors = {"fp32": built(path, inputs), precision: built(output, inputs)}
        cells += ["no" if error else "yes" for error in errors.values()]
        notes = [f"{'' if errors['fp32'] else 'FAILED: '}{kind}: {error}" for kind, error in errors.items() if error]
        job = MeasurementJob(onnx_path=path, converted_path=output, precision=precision)
        cells += [*deviation(job, inputs), kept]
    return notes


def inputs_of(proto: onnx.ModelProto, given: dict[str, Any]) -> Inputs | None:
    """Return shape, type and filling of every input; None where a dimension is free and nothing is given for it."""
    inputs: Inputs = {}
    initializers = {tensor.name for tensor in proto.graph.initializer}
    for value in (value for value in proto.graph.input if value.name not in initializers):
        said = given.get(value.name, [dim.dim_value for dim in value.type.tensor_type.shape.dim])
        said = said if isinstance(said, dict) else {"shape": said}
        inputs[value.name] = {"type": value.type.tensor_type.elem_type, **said}
    return None if any(0 in said["shape"] for said in inputs.values()) else inputs


def fill(said: dict[str, Any]) -> Any:
    """Return an input's array."""
    kind, shape, chance = helper.tensor_dtype_to_np_dtype(said["type"]), said["shape"], np.random.default_rng(7)
    filling: Any = chance.normal(size=shape)
    if "file" in said or "value" in said:
        filling = np.broadcast_to(np.load(said["file"]) if "file" in said else said["value"], shape)
    elif "high" in said or kind.kind in "iub":
        filling = chance.uniform(said.get("low", 0), said.get("high", 2), shape)  # of integers, 0 or 1
    return np.asarray(filling).astype(kind)


def deviation(job: MeasurementJob, inputs: Inputs) -> list[str]:
    """Return that of the worst output on these inputs, and on synthetic ones of their shapes."""
    folder = job.converted_path.parent
    np.savez(folder / "sample.npz", **{name: fill(said) for name, said in inputs.items()})
    given = {name: tuple(said["shape"]) or (int(fill(said)),) for name, said in inputs.items()}
    profile = OptimizationProfile.of({name: ShapeRange.fixed(shape) for name, shape in given.items() if shape})
    jobs = replace(job, samples=find_samples(folder, "*.npz")), replace(job, profiles=(profile,))
    return [words_of(deviations(job)) for job in jobs]


def words_of(report: MeasurementReport) -> str:
    """Return the worst part of a range, or why there is none."""
    if not report.measured:
        return report.not_measured
    lost = sum(output.lost + output.gained for output in report.outputs)
    return f"{lost} not finite" if lost else f"{max(output.part for output in report.outputs):.5f}"


def built(path: Path, inputs: Inputs) -> str:
    """Return why TensorRT-RTX does not build a file, "" where it does."""
    command = [sys.executable, __file__, str(path), "--build", json.dumps(inputs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    lines = [*done.stderr.splitlines(), *done.stdout.splitlines()]
    errors = [line.partition("[E]")[2] for line in lines if "[E]" in line and "cuda" not in line.lower()]
    result = f"exit status {done.returncode}" if done.returncode else lines[-1]
    return f"{result}: {(errors or [done.stderr])[0]}" if result else ""


def build(path: Path, inputs: Inputs) -> str:
    """Build a file; return the step that failed."""
    import tensorrt_rtx as trt

    builder = trt.Builder(logger := trt.Logger(trt.Logger.ERROR))
    network = builder.create_network(0)
    if not trt.OnnxParser(network, logger).parse_from_file(str(path)):
        return "parse"
    config, profile = builder.create_builder_config(), builder.create_optimization_profile()
    for tensor in (network.get_input(index) for index in range(network.num_inputs)):
        if tensor.is_shape_tensor:
            profile.set_shape_input(tensor.name, *[fill(inputs[tensor.name]).reshape(-1).tolist()] * 3)
        else:
            profile.set_shape(tensor.name, *[tuple(inputs[tensor.name]["shape"])] * 3)
    config.add_optimization_profile(profile)
    return "" if builder.build_serialized_network(network, config) is not None else "build"


if __name__ == "__main__":
    raise SystemExit(main())
