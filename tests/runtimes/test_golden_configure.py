"""What c10 tells each builder, compared with the golden file of its revision.

What differs from the file makes other engines: raise the revision, so that engines are rebuilt, and keep the older
files as they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from recorded_builder import MODULES, Network, RecordedBuilder, stand_in

from c10 import BuildConfig
from c10.corpus.revisions import CONFIGURE_REVISIONS
from c10.corpus.spec import BuildOptions, OptimizationProfile, ShapeRange
from c10.runtimes.child.configure import configure, network_flags
from c10.runtimes.options import SUPPORT, generation, is_strongly_typed

GOLDEN = Path(__file__).parents[1] / "golden"
VERSIONS = {"trt": ("10.3.0.26", "11.4.1"), "rtx": ("1.7.1.116",)}
PROFILES = (
    OptimizationProfile.of({"x": ShapeRange((1, 0, 8), (1, 64, 8), (1, 256, 8)), "starts": ShapeRange.fixed((-1,))}),
    OptimizationProfile.of({"x": ShapeRange.fixed((2, 8, 8)), "starts": ShapeRange((0,), (1,), (2**40,))}),
)
#: Each option with another value than its default, and with what it needs; calibration_cache is a file: see below.
OPTIONS: dict[str, dict[str, Any]] = {
    "conversion": {"conversion": "always"},
    "keep_fp32": {"conversion": "always", "keep_fp32": ("Softmax",)},
    "builder_optimization_level": {"builder_optimization_level": 5},
    "hardware_compatibility": {"hardware_compatibility": "ampere_plus"},
    "version_compatible": {"version_compatible": True},
    "dla_core": {"dla_core": 1},
    "gpu_fallback": {"gpu_fallback": True},
    "sparse_weights": {"sparse_weights": True},
    "tf32": {"tf32": False},
    "compute_capabilities": {"compute_capabilities": ("75", "89")},
    "plugins": {"plugins": (Path("/plugins/libx.so"), Path("/plugins/liby.so"))},
    "timing_cache": {"timing_cache": False},
    "timeout_s": {"timeout_s": 60},
}


def build_configs(calibrated: BuildOptions) -> Iterator[tuple[str, BuildConfig]]:
    """Yield every build, by name: each precision, each way to convert, each option."""
    for precision in ("fp32", "fp16", "bf16", "int8", "fp8"):
        yield f"precision {precision}", BuildConfig(precision=precision)
        for conversion in ("always", "never"):
            name = f"precision {precision}, conversion {conversion}"
            yield name, BuildConfig(precision=precision, options=BuildOptions(conversion=conversion))
    for option, values in OPTIONS.items():
        yield f"option {option}", BuildConfig(options=replace(BuildOptions(), **values))
    yield (
        "option hardware_compatibility, the other",
        BuildConfig(options=BuildOptions(hardware_compatibility="same_compute_capability")),
    )
    yield "calibrated int8", BuildConfig(precision="int8", options=calibrated)
    yield "workspace", BuildConfig(workspace_mb=1)
    yield "profiles", BuildConfig(profiles=PROFILES)


def told(runtime: Any, version: str, config: BuildConfig) -> dict[str, Any]:
    """Return all that the builder of a version is told."""
    column = generation(runtime, version)
    strong = is_strongly_typed(config, column)
    builder, trt = RecordedBuilder(), stand_in(column)
    network: Any = Network()
    builder_like: Any = builder
    configure(trt, builder_like, network, config, version=version, strong=strong)
    bits = network_flags(trt, strong=strong)
    flags = {name: bool(bits >> bit & 1) for name, bit in vars(trt.NetworkDefinitionCreationFlag).items()}
    return {"network_flags": flags, **builder.config.told}


def all_told(runtime: Any, folder: Path) -> dict[str, Any]:
    """Return what every build tells every builder of a runtime; what it does not have is left out."""
    cache = folder / "int8.cache"
    cache.write_bytes(b"TRT-100300-EntropyCalibration2\nx: 3d23ac36\n")
    everything = {}
    for version in VERSIONS[runtime]:
        column = generation(runtime, version)
        everything[column] = {
            name: told(runtime, version, config)
            for name, config in build_configs(BuildOptions(calibration_cache=cache))
            if all(column in row.supported for row in SUPPORT if row.asked(config))
        }
    return everything


@pytest.mark.parametrize("runtime", CONFIGURE_REVISIONS)
def test_a_builder_is_told_what_the_golden_file_of_its_revision_says(runtime: str, tmp_path: Path) -> None:
    name = f"configure-{runtime}-{CONFIGURE_REVISIONS[runtime]}.json"
    text = json.dumps(all_told(runtime, tmp_path), indent=1, sort_keys=True) + "\n"
    (tmp_path / name).write_text(text, "utf-8")
    old, new = json.loads((GOLDEN / name).read_text("utf-8")) if (GOLDEN / name).exists() else {}, json.loads(text)
    changed = list(differences(old, {column: {n: new[column].get(n) for n in old[column]} for column in old}))
    if changed:
        pytest.fail(
            "\n".join([f"{runtime}: the builder is told something else than {name} says:", *changed])
            + f"\nEngines of revision {CONFIGURE_REVISIONS[runtime]} are not what c10 would build now. Raise "
            f"CONFIGURE_REVISIONS[{runtime!r}] in c10/corpus/revisions.py and add a new golden file (run this test "
            f"again, it says how); {name} stays as it is.",
            pytrace=False,
        )
    if old != new:
        pytest.fail(
            f"{name} does not have every build. Look at the new one: cp {tmp_path / name} {GOLDEN}", pytrace=False
        )


def differences(old: Any, new: Any, where: str = "") -> Iterator[str]:
    """Yield a line for each value that differs between two JSON trees."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from differences(old.get(key), new.get(key), f"{where} / {key}".removeprefix(" / "))
    elif old != new:
        yield f"  {where}: {json.dumps(old)} → {json.dumps(new)}"


def test_the_list_of_builds_has_every_option() -> None:
    assert {*OPTIONS, "calibration_cache"} == {option.name for option in fields(BuildOptions)}
    default = BuildOptions()
    assert [name for name, values in OPTIONS.items() if replace(default, **values) == default] == []


def test_each_revision_since_the_first_has_its_file() -> None:
    names = {
        f"configure-{runtime}-{n}.json" for runtime, last in CONFIGURE_REVISIONS.items() for n in range(1, last + 1)
    }
    assert {path.name for path in GOLDEN.glob("configure-*")} == names


def test_the_stand_in_has_what_tensorrt_rtx_has() -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed (the extra `rtx`)")
    for enum, members in MODULES["TensorRT-RTX"].items():
        known = {name for column in MODULES.values() for name in column.get(enum, ())}
        assert {name for name in known if hasattr(getattr(trt, enum), name)} == set(members)
