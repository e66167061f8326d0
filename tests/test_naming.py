"""Engine file names: build and parse are inverse, and nothing but InvalidEngineNameError comes out of garbage."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from c10.errors import C10Error, InvalidEngineNameError
from c10.files.naming import MODEL_NAME_MAX, PRECISIONS, EngineFilenameSchema, EngineName, is_model_name

NUMBERS = st.integers(0, 99999).map(str)
MODEL_NAMES = st.from_regex(r"[a-z0-9]+(?:[._-][a-z0-9]+)*", fullmatch=True).filter(lambda n: len(n) <= MODEL_NAME_MAX)
FIELDS = st.fixed_dictionaries(
    {
        "model_name": MODEL_NAMES,
        "sm": st.builds(
            "{}{}".format, st.lists(NUMBERS, min_size=1, max_size=6).map(".".join), st.sampled_from(["", "+"])
        ),
        "jp": st.just("none")
        | st.builds(
            "{}{}".format, st.sampled_from(["", "l4t"]), st.lists(NUMBERS, min_size=2, max_size=4).map(".".join)
        ),
        "trt": st.builds("{}.{}".format, NUMBERS, NUMBERS),
        "precision": st.sampled_from(PRECISIONS),
        "runtime": st.sampled_from(["trt", "rtx"]),
    }
)
GOOD: dict[str, str] = {"model_name": "dinov2_vpr", "sm": "87", "jp": "6.2", "trt": "10.3", "precision": "fp16"}
CANONICAL = "dinov2_vpr__sm87_jp6.2_trt10.3_fp16.engine"


@given(FIELDS)
def test_parse_undoes_build(fields: dict[str, str]) -> None:
    assert EngineFilenameSchema.parse(EngineFilenameSchema.build(**fields)) == EngineName(**fields)


@given(
    st.from_regex(
        r"[a-z0-9_.-]{1,20}__sm[0-9.+]{1,9}_jp[a-z0-9.]{1,9}_(trt|rtx)[0-9.]{1,6}_(fp16|int8)\.engine", fullmatch=True
    )
)
@example(CANONICAL)
@example("m__sm80.86.89.120+_jpnone_rtx1.7_fp16.engine")
@example("m__sm80+_jpl4t39.9.9_trt10.3_fp8.engine")
def test_build_undoes_parse_of_whatever_parses(name: str) -> None:
    try:
        parsed = EngineFilenameSchema.parse(name)
    except InvalidEngineNameError:
        return
    assert EngineFilenameSchema.build(**asdict(parsed)) == name
    assert str(parsed) == name


@given(st.text() | st.text("abc019._-+/\\\0\n %é", max_size=60).map(lambda s: f"{s}__sm87_jp6.2_trt10.3_fp16.engine"))
def test_garbage_never_crashes_parse(garbage: str) -> None:
    try:
        parsed = EngineFilenameSchema.parse(garbage)
    except InvalidEngineNameError:
        return
    assert EngineFilenameSchema.build(**asdict(parsed)) == garbage


@given(FIELDS, st.sampled_from(sorted(GOOD)), st.text(max_size=30))
def test_garbage_in_one_field_never_crashes_build(fields: dict[str, str], field: str, garbage: str) -> None:
    try:
        name = EngineFilenameSchema.build(**{**fields, field: garbage})
    except InvalidEngineNameError as error:
        assert repr(garbage) in error.message  # noqa: PT017 - either outcome is right, each has its rule
        return
    assert EngineFilenameSchema.parse(name) == EngineName(**{**fields, field: garbage})


@given(st.text(max_size=200))
def test_whatever_is_a_model_name_stays_in_its_directory(name: str) -> None:
    if is_model_name(name):
        path = Path("/cache") / EngineFilenameSchema.build(**{**GOOD, "model_name": name})
        assert path.parent == Path("/cache")
        assert Path(path.name).name == path.name


def test_canonical_name() -> None:
    assert EngineFilenameSchema.build(**GOOD) == CANONICAL
    assert EngineFilenameSchema.build(**GOOD, runtime="trt") == CANONICAL
    assert asdict(EngineFilenameSchema.parse(CANONICAL)) == {**GOOD, "runtime": "trt"}


def test_parse_takes_the_last_part_of_a_path() -> None:
    assert EngineFilenameSchema.parse(Path("/a/b__c") / CANONICAL) == EngineFilenameSchema.parse(CANONICAL)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".engine",
        "dinov2_vpr.engine",
        CANONICAL.upper(),
        f"../{CANONICAL}",
        f"a/{CANONICAL}",
        f"{CANONICAL}.sha256",
        f"{CANONICAL}\n",
        f" {CANONICAL}",
        "dinov2__vpr__sm87_jp6.2_trt10.3_fp16.engine",
        "_dinov2__sm87_jp6.2_trt10.3_fp16.engine",
        "dinov2___sm87_jp6.2_trt10.3_fp16.engine",
        "m__sm8x_jp6.2_trt10.3_fp16.engine",
        "m__sm087_jp6.2_trt10.3_fp16.engine",  # a second spelling of sm87
        "m__sm٨٧_jp6.2_trt10.3_fp16.engine",
        "m__sm87_jp6_trt10.3_fp16.engine",
        "m__sm87_jpNone_trt10.3_fp16.engine",
        "m__sm87_jp6.2_trt10_fp16.engine",
        "m__sm87_jp6.2_trt10.3.0_fp16.engine",
        "m__sm87_jp6.2_onnx10.3_fp16.engine",
        "m__sm87_jp6.2_trt10.3_fp12.engine",
        f"{'m' * (MODEL_NAME_MAX + 1)}__sm87_jp6.2_trt10.3_fp16.engine",
    ],
)
def test_refused_names(name: str) -> None:
    with pytest.raises(InvalidEngineNameError, match="engine name: expected"):
        EngineFilenameSchema.parse(name)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model_name", ""),
        ("model_name", "a__b"),
        ("model_name", "A"),
        ("model_name", "../a"),
        ("model_name", "a/b"),
        ("model_name", "a\n"),
        ("model_name", "m" * (MODEL_NAME_MAX + 1)),
        ("sm", "8.7+."),
        ("sm", "+"),
        ("jp", "6"),
        ("jp", "l4tnone"),
        ("trt", "10.3.0"),
        ("precision", "fp64"),
        ("runtime", "tensorrt"),
    ],
)
def test_build_says_which_field_is_wrong(field: str, value: str) -> None:
    arguments: dict[str, Any] = {**GOOD, field: value}
    with pytest.raises(InvalidEngineNameError) as raised:
        EngineFilenameSchema.build(**arguments)
    assert raised.value.message.startswith(f"engine name: {field}: expected ")
    assert raised.value.message.endswith(f", got {value!r}")
    assert isinstance(raised.value, C10Error)


def test_longest_name_fits_a_file_system(tmp_path: Path) -> None:
    name = EngineFilenameSchema.build(**{**GOOD, "model_name": "m" * MODEL_NAME_MAX})
    (tmp_path / f".{name}.sha256.0123456789abcdef.tmp").touch()  # the longest name that publishing makes of it
    assert EngineFilenameSchema.parse(name).model_name == "m" * MODEL_NAME_MAX
