"""The table of options: what a TensorRT does not have is refused, and the README shows the table of the code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from c10 import BuildConfig, CalibrationCacheError, EngineBuildError
from c10.corpus.spec import BUILD_OPTIONS, BuildOptions, Conversion
from c10.runtimes.calibration import calibration_algorithm, refuse_missing_cache, version_number
from c10.runtimes.child.configure import _tell_options
from c10.runtimes.isolated import IsolatedRuntime
from c10.runtimes.options import (
    RTX,
    SUPPORT,
    TRT10,
    TRT11,
    BuilderFlag,
    Generation,
    OptionSupport,
    generation,
    is_strongly_typed,
    refuse_unsupported,
)

README = Path(__file__).parents[2] / "README.md"
ASKED = {
    "conversion": {"conversion": "always"},
    "keep_fp32": {"keep_fp32": ("Softmax",), "conversion": "always"},
    "calibration_cache": {"calibration_cache": Path("int8.cache")},
    "hardware_compatibility": {"hardware_compatibility": "ampere_plus"},
    "version_compatible": {"version_compatible": True},
    "dla_core": {"dla_core": 0},
    "gpu_fallback": {"gpu_fallback": True},
    "plugins": {"plugins": (Path("libplugin.so"),)},
    "compute_capabilities": {"compute_capabilities": ("75",)},
}


@pytest.mark.parametrize("column", [TRT10, TRT11, RTX])
@pytest.mark.parametrize("option", ASKED)
def test_an_option_is_refused_by_name_exactly_where_the_table_says_so(option: str, column: Generation) -> None:
    config = BuildConfig(options=replace(BuildOptions(), **ASKED[option]))
    (row,) = [row for row in SUPPORT if row.option == option]
    if column in row.supported:
        refuse_unsupported("model", config, column)
    else:
        with pytest.raises(EngineBuildError) as caught:
            refuse_unsupported("model", config, column)
        assert any(line.startswith(f"{option}: {column} does not have it") for line in caught.value.log)


@pytest.mark.parametrize("column", [TRT10, TRT11, RTX])
@pytest.mark.parametrize(("conversion", "on_10"), [("auto", False), ("always", True), ("never", True)])
def test_the_networks_types_decide_everywhere_but_in_tensorrt_10_with_auto(
    conversion: Conversion,
    on_10: bool,  # noqa: FBT001
    column: Generation,
) -> None:
    config = BuildConfig(options=BuildOptions(conversion=conversion))
    assert is_strongly_typed(config, column) == (on_10 if column == TRT10 else True)


@pytest.mark.parametrize("conversion", ["auto", "always"])
@pytest.mark.parametrize("column", [TRT10, TRT11, RTX])
def test_keep_fp32_is_refused_where_the_builder_chooses(conversion: Conversion, column: Generation) -> None:
    config = BuildConfig(options=BuildOptions(keep_fp32=("Softmax",), conversion=conversion))
    if (conversion, column) != ("auto", TRT10):
        refuse_unsupported("model", config, column)
        return
    with pytest.raises(EngineBuildError) as caught:
        refuse_unsupported("model", config, column)
    said = 'with conversion = "auto" TensorRT 10.x chooses the types. Set conversion = "always", or remove it.'
    assert caught.value.log == (f"keep_fp32: {said}",)


@pytest.mark.parametrize("conversion", ["always", "never"])
def test_a_calibration_cache_needs_a_builder_that_chooses(conversion: Conversion) -> None:
    options = BuildOptions(calibration_cache=Path("int8.cache"), conversion=conversion)
    with pytest.raises(EngineBuildError) as caught:
        refuse_unsupported("model", BuildConfig(precision="int8", options=options), TRT10)
    assert caught.value.log == (
        "calibration_cache: a strongly typed network takes int8 from its Q/DQ nodes alone. "
        'Remove it, or set conversion = "auto".',
    )


def test_every_option_has_a_row_unless_no_builder_is_told_of_it() -> None:
    options = [row.option for row in SUPPORT if not row.option.startswith("precision ")]
    assert len(set(options)) == len(options)
    assert {row.name for row in BUILD_OPTIONS} - {*options} == {"timeout_s"}
    assert {*options} <= {row.name for row in BUILD_OPTIONS}


def test_a_list_without_plugins_asks_for_none() -> None:
    refuse_unsupported("model", BuildConfig(options=BuildOptions(plugins=[])), RTX)  # type: ignore[arg-type]


def test_a_version_without_a_flag_or_an_attribute_is_an_error_that_names_the_option() -> None:
    class Config:
        __slots__ = ("builder_optimization_level",)

        def clear_flag(self, flag: str) -> None:
            """Take every flag."""

        set_flag = clear_flag

    flags = SimpleNamespace(TF32="TF32")
    levels = SimpleNamespace(AMPERE_PLUS="AMPERE_PLUS")
    trt: Any = SimpleNamespace(__name__="tensorrt", __version__="10.3.0", BuilderFlag=flags)
    trt.HardwareCompatibilityLevel = levels
    config: Any = Config()
    _tell_options(trt, config, BuildConfig())
    with pytest.raises(EngineBuildError, match=r"sparse_weights: expected BuilderFlag\.SPARSE_WEIGHTS in tensorrt 10"):
        _tell_options(trt, config, BuildConfig(options=BuildOptions(sparse_weights=True)))
    ampere = BuildConfig(options=BuildOptions(hardware_compatibility="ampere_plus"))
    with pytest.raises(EngineBuildError, match=r"expected IBuilderConfig\.hardware_compatibility_level in") as caught:
        _tell_options(trt, config, ampere)
    assert caught.value.remedy.startswith("Remove hardware_compatibility from backbones.toml")


@pytest.mark.parametrize("row", [row for row in SUPPORT if row.told], ids=lambda row: row.option)
def test_tensorrt_rtx_has_the_flags_and_attributes_that_the_table_names(row: OptionSupport) -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed (the extra `rtx`)")
    if isinstance(row.told, BuilderFlag):
        assert hasattr(trt.BuilderFlag, row.told.name)
    else:
        assert row.told is not None
        assert hasattr(trt.IBuilderConfig, row.told.name)
        assert not row.told.enum or hasattr(trt, row.told.enum)


def test_the_readmes_table_is_the_codes_table() -> None:
    table = README.read_text("utf-8").partition("<!-- options table -->")[2].partition("\n\n")[0]
    rows = [" ".join(line.split()) for line in table.strip().splitlines()[2:]]
    cells = (["yes" if column in row.supported else "–" for column in (TRT10, TRT11, RTX)] for row in SUPPORT)
    assert rows == [f"| {row.option} | {' | '.join(cell)} |" for row, cell in zip(SUPPORT, cells, strict=True)]


@pytest.mark.parametrize("option", ["sparse_weights", "tf32", "builder_optimization_level", "compute_capabilities"])
def test_rtx_builds_with_what_the_table_grants(option: str, rtx: IsolatedRuntime, light: Path, tmp_path: Path) -> None:
    value = {"tf32": False, "builder_optimization_level": 1, "compute_capabilities": ("86", "89")}.get(option, True)
    config = BuildConfig(precision="fp32", options=replace(BuildOptions(), **{option: value}))
    entry = rtx.compile_engine(light / "light_zfnet512.onnx", config, tmp_path / "x.engine")
    assert entry.engine_path.is_file()


def test_compute_capabilities_change_the_engine_and_unknown_ones_are_refused(
    rtx: IsolatedRuntime, light: Path, tmp_path: Path
) -> None:
    def sha256(*sm: str) -> str:
        config = BuildConfig(precision="fp32", options=BuildOptions(compute_capabilities=sm))
        return rtx.compile_engine(light / "light_zfnet512.onnx", config, tmp_path / "x.engine").sha256

    assert len({sha256(), sha256("89"), sha256("86", "89")}) == 3
    with pytest.raises(EngineBuildError) as caught:
        sha256("99")
    assert caught.value.log == ("compute_capabilities: expected some of 75, 80, 86, 89, 120, 121, got 99",)


@pytest.mark.parametrize(("version", "column"), [("10.3.0.26", TRT10), ("10.16.2", TRT10), ("11.4.1", TRT11)])
def test_the_generation_follows_the_major_version(version: str, column: Generation) -> None:
    assert generation("trt", version) == column
    assert generation("rtx", version) == RTX


def test_tensorrt_8_is_refused() -> None:
    with pytest.raises(EngineBuildError, match=r"expected version 10\.x or 11\.x, got 8\.6\.0"):
        generation("trt", "8.6.0")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        (b"", "an empty file"),
        (b"TRT-8600-EntropyCalibration2\ninput: 3d23ac36\n", "TRT-8600-EntropyCalibration2"),
        (b"TRT-100300-Guesswork\n", "TRT-100300-Guesswork"),
        (b"\xff\xfe", "expected TRT-100300-EntropyCalibration2"),
    ],
)
def test_a_calibration_cache_of_another_tensorrt_is_refused(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "int8.cache"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CalibrationCacheError, match=said) as caught:
        calibration_algorithm(path, "10.3.0.26")
    assert caught.value.calibration_path == path


def test_a_calibration_cache_of_this_tensorrt_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "int8.cache"
    path.write_bytes(b"TRT-100300-MinMaxCalibration\ninput: 3d23ac36\n")
    refuse_missing_cache(path)
    assert calibration_algorithm(path, "10.3.0.26") == "MinMaxCalibration"
    assert version_number("11.4.1") == 110401
