"""The forms of build options: what is accepted in Python, read from TOML and restored from JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from c10 import BuildConfig, BuildOptions
from c10.corpus import option_forms
from c10.corpus.build_options import build_options, check_options
from c10.corpus.option_forms import Choice, ComputeCapabilities, Files, Flag, Form, OneFile, Positive, Texts, Whole
from c10.corpus.spec import BUILD_OPTIONS, BuildOption
from c10.corpus.toml_table import Problems, Table
from c10.runtimes.messages import CompileJob, decode_job, encode_job

#: For each form: one for the tests, values that it takes, values that it refuses.
FORMS: dict[type[Form], tuple[Form, list[Any], list[Any]]] = {
    Flag: (Flag(), [True, False], [0, 1, "no", None]),
    Choice: (Choice(("none", "all")), ["none", "all"], ["", "ALL", True, None, ["all"]]),
    Whole: (Whole(0, 5), [0, 5], [-1, 6, True, 3.0, "3", None]),
    Positive: (Positive(), [1, 2**31 - 1], [0, -1, 2**31, True, 1.5, "1"]),
    Texts: (Texts(), [(), ("a", "b")], ["a", ("a", 1), (" ",), None]),
    OneFile: (OneFile(), [Path("a")], ["a", b"a", ()]),
    Files: (Files(), [(), (Path("a"),), [Path("a")]], ["a", ("a",), Path("a"), None]),
    ComputeCapabilities: (
        ComputeCapabilities(),
        [(), ("75", "89"), ["75"]],
        [("8.9",), ("75", "75"), (75,), "75", (["75"],), None],
    ),
}


def asked(row: BuildOption) -> Any:
    """Return a value of an option that is not its neutral one, as TOML has it."""
    form = row.form
    own = form.words if isinstance(form, Choice) else (form.low, form.high) if isinstance(form, Whole) else ()
    value = next(value for value in own or FORMS[type(form)][1] if value not in ((), row.neutral))
    return json.loads(json.dumps(value, default=str))


def read(values: dict[str, Any]) -> BuildOptions:
    """Return the options of a TOML table; raise ConfigError for what is wrong in it."""
    problems = Problems("file")
    options = build_options(Table(values, problems), "fp16")
    problems.raise_any()
    return options


def test_every_form_is_tested() -> None:
    kinds = {kind for kind in vars(option_forms).values() if isinstance(kind, type) and issubclass(kind, Form)}
    assert set(FORMS) == kinds - {Form}
    assert {type(row.form) for row in BUILD_OPTIONS} <= set(FORMS)


@pytest.mark.parametrize("kind", FORMS)
def test_a_form_accepts_its_values_and_no_other(kind: type[Form]) -> None:
    form, good, bad = FORMS[kind]
    assert [value for value in good if not form.accepts(value)] == []
    assert [value for value in bad if form.accepts(value)] == []
    assert form.expected


@pytest.mark.parametrize("kind", FORMS)
def test_a_form_restores_its_values_from_json(kind: type[Form]) -> None:
    form, good, _ = FORMS[kind]
    for value in good:
        restored = form.from_json(json.loads(json.dumps(value, default=str)))
        assert restored == (tuple(value) if isinstance(value, list) else value)
        assert form.accepts(restored)


@pytest.mark.parametrize("row", BUILD_OPTIONS, ids=lambda row: row.name)
def test_an_option_is_read_from_toml_accepted_in_python_and_carried_to_the_child(row: BuildOption) -> None:
    options = read({row.name: asked(row)})
    assert not row.is_neutral(options), "the row does not read the key"
    problems = Problems("python")
    check_options(options, "fp16", problems)
    problems.raise_any()
    job = CompileJob("trt", "10.3", Path("x.onnx"), BuildConfig(options=options), Path("x.engine"))
    assert asdict(decode_job(encode_job(job)).build_config) == asdict(job.build_config)


@pytest.mark.parametrize("row", BUILD_OPTIONS, ids=lambda row: row.name)
def test_the_default_and_the_neutral_value_have_the_rows_form(row: BuildOption) -> None:
    for value in (getattr(BuildOptions(), row.name), row.neutral):
        assert row.form.accepts(value) or value is None


def test_a_choice_lists_the_words_of_its_type() -> None:
    hints = get_type_hints(BuildOptions)
    rows = [row for row in BUILD_OPTIONS if isinstance(row.form, Choice)]
    assert rows
    for row in rows:
        assert isinstance(row.form, Choice)
        assert row.form.words == get_args(hints[row.name])


@pytest.mark.parametrize("empty", [(), []], ids=["tuple", "list"])
@pytest.mark.parametrize("name", ["plugins", "compute_capabilities"])
def test_an_empty_list_is_as_neutral_as_an_empty_tuple(name: str, empty: Any) -> None:
    (row,) = [row for row in BUILD_OPTIONS if row.name == name]
    assert row.is_neutral(BuildOptions(**{name: empty}))


@pytest.mark.parametrize(
    ("name", "value"), [("tf32", 1), ("version_compatible", 0), ("builder_optimization_level", 3.0)]
)
def test_an_equal_value_of_another_type_is_not_neutral(name: str, value: Any) -> None:
    (row,) = [row for row in BUILD_OPTIONS if row.name == name]
    assert row.neutral == value
    assert not row.is_neutral(BuildOptions(**{name: value}))
