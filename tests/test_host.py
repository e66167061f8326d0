"""This machine and others: every parser with the real lines that devices print, every library good and bad."""

from __future__ import annotations

import ctypes
import dataclasses
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from c10.errors import HostProbeError
from c10.host import HostCapabilities, probe_host
from c10.host import probe as probe_module
from c10.host import tensorrt as tensorrt_module
from c10.host.cuda import GpuFacts, driver_version, probe_gpu
from c10.host.jetpack import (
    CHIPS,
    JETPACK,
    jetpack_of,
    parse_package_version,
    parse_release,
    probe_l4t,
    tegra_chip,
)
from c10.host.parse_host import parse_host
from c10.runtimes import select
from c10.runtimes.select import builtin_runtime, choose_runtime

#: First lines of /etc/nv_tegra_release as four generations print them, and what they are.
RELEASES = {
    "# R35 (release), REVISION: 4.1, GCID: 33958178, BOARD: t186ref, EABI: aarch64, "
    "DATE: Tue Aug  1 19:57:35 UTC 2023": ("35.4.1", "5.1.2"),
    "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, "
    "DATE: Wed Jan  8 01:49:37 UTC 2025": ("36.4.3", "6.2"),
    "# R38 (release), REVISION: 2.0, GCID: 41844464, BOARD: generic, EABI: aarch64, "
    "DATE: Fri Aug 22 00:55:42 UTC 2025": ("38.2.0", "7.0"),
    "# R39 (release), REVISION: 2.0, GCID: 45755727, BOARD: generic, EABI: aarch64, "
    "DATE: Mon Jun  1 09:28:48 PM UTC 2026": ("39.2.0", "7.2"),
}
MORE_LINES = "\n# KERNEL_VARIANT: oot\nTARGET_USERSPACE_LIB_DIR=nvidia\n"

#: NVIDIA's JetPack archive, JetPack by L4T.
ARCHIVE = """
35.1.0 5.0.2 · 35.2.1 5.1 · 35.3.1 5.1.1 · 35.4.1 5.1.2 · 35.5.0 5.1.3 · 35.6.0 5.1.4 · 35.6.1 5.1.5 · 35.6.2 5.1.5 ·
35.6.3 5.1.5 · 35.6.4 5.1.6 · 36.2.0 6.0 · 36.3.0 6.0 · 36.4.0 6.1 · 36.4.2 6.1 · 36.4.3 6.2 · 36.4.4 6.2.1 ·
36.4.7 6.2.1 · 36.5.0 6.2.2 · 36.5.2 6.2.3 · 38.2.0 7.0 · 38.2.1 7.0 · 38.2.2 7.0 · 38.4.0 7.1 · 39.2.0 7.2 ·
39.2.1 7.2.1
"""


@pytest.mark.parametrize("line", RELEASES, ids=lambda line: line[:5])
@pytest.mark.parametrize("rest", ["", "\n", MORE_LINES], ids=["bare", "line feed", "more lines"])
def test_release_file_of_each_generation(tmp_path: Path, line: str, rest: str) -> None:
    l4t, jetpack = RELEASES[line]
    assert parse_release(line + rest) == l4t
    (tmp_path / "nv_tegra_release").write_text(line + rest)
    assert probe_l4t(tmp_path / "nv_tegra_release", tegra=True) == l4t
    assert jetpack_of(l4t) == jetpack


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "# R36",
        "R36 (release), REVISION: 4.3",
        "\n# R36 (release), REVISION: 4.3,",
        "# R36 (release), REVISION: 4,",
    ],
)
def test_another_first_line_is_unknown(text: str) -> None:
    assert parse_release(text) is None


@pytest.mark.parametrize(
    ("version", "l4t"),
    [("36.4.7-20250918154033", "36.4.7"), ("36.4.7-2025", "36.4.7"), ("", None), ("36.4", None), ("unknown ok", None)],
)
def test_version_of_the_package_nvidia_l4t_core(version: str, l4t: str | None) -> None:
    assert parse_package_version(version) == l4t


def test_table_is_the_archives() -> None:
    entries = [entry.split() for entry in ARCHIVE.replace("\n", " ").split("·")]
    assert dict(entries) == JETPACK


@pytest.mark.parametrize("l4t", ["36.9.9", "36.4.1", "40.1.0", "32.7.1"])
def test_an_unknown_release_is_named_and_never_guessed(l4t: str) -> None:
    assert jetpack_of(l4t) == f"l4t{l4t}"


@given(st.text())
def test_release_parsers_take_any_text(text: str) -> None:
    for found in (parse_release(text), parse_package_version(text), parse_release(f"# R36 (release), {text}")):
        assert found is None or len(found.split(".")) == 3


def fake_dpkg(folder: Path, body: str) -> None:
    program = folder / "dpkg-query"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)


@pytest.mark.process
def test_in_a_container_dpkg_knows_the_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    fake_dpkg(tmp_path, 'test "$3" = nvidia-l4t-core && printf 36.4.7-20250918154033')
    assert probe_l4t(tmp_path / "none", tegra=True) == "36.4.7"
    assert probe_l4t(tmp_path / "none", tegra=False) is None  # off Jetson nobody is asked


@pytest.mark.process
@pytest.mark.parametrize("body", ["exit 1", "printf ''", "printf garbage", None])
def test_where_neither_file_nor_dpkg_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str | None) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    if body is not None:
        fake_dpkg(tmp_path, body)
    assert probe_l4t(tmp_path / "none", tegra=True) is None


@pytest.mark.parametrize(
    ("compatible", "chip", "sm"),
    [
        (b"nvidia,p3701-0005\0nvidia,tegra234\0", "tegra234", "87"),
        (b"nvidia,p2972-0000\0nvidia,tegra194\0", "tegra194", "72"),
        (b"nvidia,p4071\0nvidia,tegra264\0", "tegra264", "110"),
        (b"raspberrypi,5-model-b\0brcm,bcm2712\0", None, None),
        (b"nvidia,tegra210\0", None, None),
        (b"\xff\xfe\0", None, None),
        (b"", None, None),
    ],
)
def test_chip_of_the_device_tree(tmp_path: Path, compatible: bytes, chip: str | None, sm: str | None) -> None:
    (tmp_path / "compatible").write_bytes(compatible)
    assert tegra_chip(tmp_path / "compatible") == chip
    assert CHIPS.get(chip or "") == sm


def test_a_machine_without_a_device_tree_is_no_jetson(tmp_path: Path) -> None:
    assert tegra_chip(tmp_path / "none") is None


# libcuda


def test_missing_libcuda_is_no_gpu(tmp_path: Path) -> None:
    assert probe_gpu(str(tmp_path / "libcuda.so.1")) is None


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"not a library"])
def test_libcuda_that_is_no_library_is_no_gpu(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "libcuda.so.1").write_bytes(content)  # zero bytes is what `docker build` has
    assert probe_gpu(str(tmp_path / "libcuda.so.1")) is None


LIBCUDA = """
#include <string.h>
int cuInit(unsigned flags) { return FAIL == 1 ? 100 : 0; }
int cuDeviceGet(int *device, int ordinal) { *device = 7; return FAIL == 2 ? 101 : ordinal; }
int cuDriverGetVersion(int *version) { *version = 12060; return FAIL == 3; }
int cuDeviceGetName(char *name, int size, int device) {
    strncpy(name, device == 7 ? "Orin (nvgpu)" : "?", size); return FAIL == 4;
}
#if FAIL != 6
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    *value = device != 7 ? -1 : attribute == 75 ? 8 : attribute == 76 ? 7 : attribute == 16 ? 16 : -1;
    return FAIL == 5;
}
#endif
"""


@pytest.fixture(scope="session")
def compile_library(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Compile C source to a shared library; without a C compiler there is none to load."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here: a stand-in for a CUDA or TensorRT library cannot be made")

    def build(source: str, name: str, *flags: str) -> Path:
        folder = tmp_path_factory.mktemp("library")
        (folder / "library.c").write_text(source)
        command = [compiler, "-shared", "-fPIC", *flags, "-o", str(folder / name), str(folder / "library.c")]
        subprocess.run(command, check=True)
        return folder / name

    return build


def test_libcuda_with_a_gpu(compile_library: Callable[..., Path]) -> None:
    library = compile_library(LIBCUDA, "libcuda.so.1", "-DFAIL=0")
    assert probe_gpu(str(library)) == GpuFacts("87", 16, "Orin (nvgpu)", "12.6")


@pytest.mark.parametrize("fail", [1, 2, 3, 4, 5, 6])
def test_libcuda_that_refuses_anything_is_no_gpu(compile_library: Callable[..., Path], fail: int) -> None:
    library = compile_library(LIBCUDA, "libcuda.so.1", f"-DFAIL={fail}")
    assert probe_gpu(str(library)) is None


@pytest.mark.parametrize(("number", "version"), [(12060, "12.6"), (13000, "13.0"), (11040, "11.4"), (12080, "12.8")])
def test_driver_version_in_words(number: int, version: str) -> None:
    assert driver_version(number) == version


# TensorRT's libraries


TENSORRT = """
int getInferLibMajorVersion(void) { return 10; }
int getInferLibMinorVersion(void) { return 3; }
int getInferLibPatchVersion(void) { return 0; }
int getInferLibBuildVersion(void) { return 26; }
int getNvOnnxParserVersion(void) { return 100300; }
"""


def only(path: Path | None) -> Callable[[str], ctypes.CDLL]:
    """Return a loader that finds this one library and no other, whatever its major version."""

    def load(name: str) -> ctypes.CDLL:
        if path is None or not name.endswith(".10"):
            raise OSError(f"{name}: cannot open shared object file")
        return _CDLL(str(path))

    return load


_CDLL = ctypes.CDLL


def test_versions_come_from_the_library_that_will_be_loaded(
    compile_library: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    library = compile_library(TENSORRT, "libnvinfer.so.10")
    monkeypatch.setattr(ctypes, "CDLL", only(library))
    assert tensorrt_module.probe_tensorrt() == "10.3.0.26"
    assert tensorrt_module.probe_onnx_parser() == "100300"


def test_a_library_without_the_version_functions_is_none(
    compile_library: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    library = compile_library("int getInferLibVersion(void) { return 8600; }", "libnvinfer.so.10")
    monkeypatch.setattr(ctypes, "CDLL", only(library))
    assert tensorrt_module.probe_tensorrt() is None
    assert tensorrt_module.probe_onnx_parser() is None


def test_no_library_is_no_tensorrt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", only(None))
    assert tensorrt_module.probe_tensorrt() is None
    assert tensorrt_module.probe_onnx_parser() is None


# The whole probe


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """An ordinary machine, to be changed fact by fact; nothing of the real one is remembered."""
    probe_host.cache_clear()
    monkeypatch.setattr(probe_module, "tegra_chip", lambda: None)
    monkeypatch.setattr(probe_module, "probe_l4t", lambda *, tegra: None)  # noqa: ARG005
    monkeypatch.setattr("c10.host.cuda.probe_gpu", lambda: None)
    monkeypatch.setattr(tensorrt_module, "probe_tensorrt", lambda: None)
    monkeypatch.setattr(tensorrt_module, "probe_onnx_parser", lambda: None)
    monkeypatch.setattr(tensorrt_module, "probe_tensorrt_rtx", lambda: "1.7.1.116")
    monkeypatch.setattr(select, "tegra_chip", lambda: None)
    yield monkeypatch
    probe_host.cache_clear()


def make_jetson(machine: pytest.MonkeyPatch, l4t: str | None = "36.4.3") -> None:
    machine.setattr(probe_module, "tegra_chip", lambda: "tegra234")
    machine.setattr(select, "tegra_chip", lambda: "tegra234")
    machine.setattr(probe_module, "probe_l4t", lambda *, tegra: l4t)  # noqa: ARG005
    machine.setattr("c10.host.cuda.probe_gpu", lambda: GpuFacts("87", 16, "Orin (nvgpu)", "12.6"))
    machine.setattr(tensorrt_module, "probe_tensorrt", lambda: "10.3.0.26")
    machine.setattr(tensorrt_module, "probe_onnx_parser", lambda: "100300")


def test_this_machine_is_described_without_a_guess() -> None:
    host = probe_host()
    assert host.os == os.uname().sysname
    assert host.machine == os.uname().machine
    assert host.memory_mb is not None
    assert host.memory_mb > 0


@pytest.mark.usefixtures("machine")
def test_a_machine_without_a_gpu_is_an_ordinary_one() -> None:
    host = probe_host()
    assert (host.sm, host.sm_count, host.device_name, host.cuda_driver) == (None, None, None, None)
    assert (host.jp, host.trt, host.trt_version, host.l4t) == ("none", None, None, None)
    assert not host.is_tegra
    assert choose_runtime("auto") == ("rtx", host)
    assert choose_runtime("tensorrt_rtx")[0] == "rtx"


def test_an_agx_orin_with_jetpack_6_2(machine: pytest.MonkeyPatch) -> None:
    make_jetson(machine)
    host = probe_host()
    assert (host.sm, host.jp, host.trt, host.l4t) == ("87", "6.2", "10.3", "36.4.3")
    assert (host.trt_version, host.sm_count, host.device_name) == ("10.3.0.26", 16, "Orin (nvgpu)")
    assert host.is_tegra
    kind, chosen = choose_runtime("auto")
    assert (kind, chosen) == ("trt", host)


def test_rtx_alone_asks_neither_cuda_nor_tensorrt(machine: pytest.MonkeyPatch) -> None:
    def never() -> None:
        raise AssertionError("asked for nothing")

    machine.setattr("c10.host.cuda.probe_gpu", never)
    machine.setattr(tensorrt_module, "probe_tensorrt", never)
    kind, host = choose_runtime("tensorrt_rtx")
    assert (kind, host.sm) == ("rtx", None)


def test_a_jetson_in_a_container_says_its_jetpack_by_hand(machine: pytest.MonkeyPatch) -> None:
    make_jetson(machine, l4t=None)
    with pytest.raises(
        HostProbeError, match=r"expected /etc/nv_tegra_release or .* on a Jetson \(tegra234\)"
    ) as raised:
        probe_host()
    assert 'jetpack = "6.2"' in raised.value.remedy
    assert probe_host(jetpack="6.2").jp == "6.2"


def test_a_jetpack_by_hand_that_the_machine_denies(machine: pytest.MonkeyPatch) -> None:
    make_jetson(machine)
    assert probe_host(jetpack="6.2").jp == "6.2"
    with pytest.raises(HostProbeError, match=r"jetpack: expected 6\.1 as configured, got 6\.2 \(L4T 36\.4\.3\)"):
        probe_host(jetpack="6.1")


def test_on_a_jetson_auto_never_falls_back_to_rtx(machine: pytest.MonkeyPatch) -> None:
    make_jetson(machine)
    machine.setattr(tensorrt_module, "probe_tensorrt", lambda: None)
    with pytest.raises(HostProbeError, match=r"found GPU sm87 and no TensorRT library of 10\.x or 11\.x") as raised:
        choose_runtime("auto")
    assert "--system-site-packages" in str(raised.value)


@pytest.mark.usefixtures("machine")
def test_tensorrt_asked_for_and_not_there() -> None:
    with pytest.raises(HostProbeError, match=r"expected TensorRT and a GPU, found no GPU and no TensorRT library"):
        choose_runtime("tensorrt")


def test_neither_runtime_says_how_to_get_one(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(tensorrt_module, "probe_tensorrt_rtx", lambda: None)
    with pytest.raises(HostProbeError, match="found neither") as raised:
        choose_runtime("auto")
    assert raised.value.remedy == "Install it with: pip install 'c10[rtx]'"


@pytest.mark.usefixtures("machine")
def test_a_host_given_by_hand_is_named_but_not_built_for_elsewhere() -> None:
    orin = HostCapabilities(sm="87", jp="6.2", trt="10.3")
    assert choose_runtime("auto", orin) == ("trt", orin)
    with pytest.raises(HostProbeError):
        builtin_runtime("trt", orin)


def test_contradictions_name_each_fact() -> None:
    said = HostCapabilities(sm="87", jp="6.2", trt="10.3", sm_count=16, memory_mb=1)
    actual = HostCapabilities(sm="89", jp="6.2", trt="10.3.0", sm_count=8, memory_mb=2)
    assert said.contradictions(actual) == [
        "sm: expected 87, got 89 on this machine",
        "sm_count: expected 16, got 8 on this machine",
    ]
    assert said.contradictions(HostCapabilities()) == []  # what is unknown denies nothing


def test_host_in_words() -> None:
    assert parse_host("sm=87,jp=6.2.1,trt=10.3") == HostCapabilities(sm="87", jp="6.2.1", trt="10.3")
    assert parse_host(" sm_count = 8 ,memory_mb=7620,").sm_count == 8
    assert parse_host("device_name=Orin (nvgpu)").device_name == "Orin (nvgpu)"


@pytest.mark.parametrize(("said", "sm"), [("8.7", "87"), ("87", "87"), ("12.0", "120"), ("110", "110"), ("7.5", "75")])
def test_compute_capability_with_and_without_the_dot(said: str, sm: str) -> None:
    assert parse_host(f"sm={said}").sm == sm


@pytest.mark.parametrize(
    ("said", "trt", "jp"),
    [
        ("trt_version=10.3.0.26", "10.3", "none"),
        ("trt_version=10.3.0.26,trt=10.3", "10.3", "none"),
        ("trt=10.13.3,trt_version=10.13.3.9", "10.13.3", "none"),
        ("l4t=36.4.3", None, "6.2"),
        ("l4t=36.4.3,jp=6.2", None, "6.2"),
        ("l4t=36.9.9", None, "l4t36.9.9"),
    ],
)
def test_what_follows_from_a_fact_need_not_be_said(said: str, trt: str | None, jp: str) -> None:
    host = parse_host(said)
    assert (host.trt, host.jp) == (trt, jp)


@pytest.mark.parametrize("text", ["", ",", "sm", "sm=", "gpu=87", "sm=87,,x=1", "=87"])
def test_host_in_wrong_words(text: str) -> None:
    with pytest.raises(HostProbeError, match=r"expected FIELD=VALUE, FIELD one of .*sm_count.*, got ") as raised:
        parse_host(text)
    assert raised.value.remedy == "Write for example --host sm=87,jp=6.2.1,trt=10.3"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sm=eighty", "sm: expected a compute capability such as 87 or 8.7, got 'eighty'"),
        ("sm=sm_87", "sm: expected a compute capability such as 87 or 8.7, got 'sm_87'"),
        ("sm=80+", "sm: expected a compute capability such as 87 or 8.7, got '80+'"),
        ("sm=8", "sm: expected a compute capability such as 87 or 8.7, got '8'"),
        ("sm=٨٧", "sm: expected a compute capability such as 87 or 8.7, got '٨٧'"),
        ("jp=6", "jp: expected a JetPack version such as 6.2.1, or none, got '6'"),
        ("l4t=R36.4", "l4t: expected an L4T release such as 36.4.3, got 'R36.4'"),
        ("trt=10", "trt: expected a version such as 10.3, got '10'"),
        ("rtx_version=1", "rtx_version: expected a version such as 1.7, got '1'"),
        ("cuda_driver=550", "cuda_driver: expected a version such as 12.6, got '550'"),
        ("sm_count=many", "sm_count: expected a positive int, got 'many'"),
        ("sm_count=8.5", "sm_count: expected a positive int, got '8.5'"),
        ("sm_count=0", "sm_count: expected a positive int, got '0'"),
        ("memory_mb=-1", "memory_mb: expected a positive int, got '-1'"),
        (f"sm_count={'9' * 5000}", f"sm_count: expected a positive int, got '{'9' * 5000}'"),
        ("sm=87,sm=80", "sm: expected once, got 87 and 80"),
        ("sm=87,sm=87", "sm: expected once, got 87 and 87"),
        ("trt=10.3,trt_version=10.4.0.1", "trt: expected 10.4 as of trt_version=10.4.0.1, got 10.3"),
        ("trt=10.3.0.26,trt_version=10.3.0.30", "trt: expected 10.3 as of trt_version=10.3.0.30, got 10.3.0.26"),
        ("jp=6.1,l4t=36.4.3", "jp: expected 6.2 as of l4t=36.4.3, got 6.1"),
        ("jp=none,l4t=36.4.3", "jp: expected 6.2 as of l4t=36.4.3, got none"),
        ("trt=8.6", "trt: expected TensorRT 10.x or 11.x, got 8.6"),
        ("trt_version=12.0.0.1", "trt: expected TensorRT 10.x or 11.x, got 12.0"),
        ("rtx_version=1.3", "rtx_version: expected TensorRT-RTX 1.4 or later, got 1.3"),
    ],
)
def test_host_facts_that_cannot_be(text: str, message: str) -> None:
    with pytest.raises(HostProbeError) as raised:
        parse_host(text)
    assert raised.value.message == message


@given(st.text(alphabet="smjptr=,.0189_ count", max_size=40) | st.text(max_size=20))
def test_any_text_is_a_host_or_a_host_probe_error(text: str) -> None:
    try:
        host = parse_host(text)
    except HostProbeError:
        return
    assert dataclasses.is_dataclass(host)
