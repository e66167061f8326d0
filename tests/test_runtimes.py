"""The table of runtimes: every list that it cannot write itself agrees with it."""

from __future__ import annotations

import re
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest

from c10 import EngineBuildError, EngineFilenameSchema, HostCapabilities, HostProbeError, RuntimeChoice
from c10.commands.plan import _IN_FULL
from c10.corpus.revisions import CONFIGURE_REVISIONS
from c10.corpus.runtimes import RUNTIME_WORDS, RUNTIMES, RuntimeKind, RuntimeRow
from c10.host.capabilities import FACT_OF, host_facts
from c10.host.parse_host import EXAMPLE, parse_host
from c10.host.tensorrt import SUPPORTED_MAJORS
from c10.runtimes.options import ANY_MAJOR, GENERATIONS, SUPPORT, Generation, generation
from c10.runtimes.select import choose_runtime

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]


def test_the_types_and_the_revisions_have_the_runtimes_of_the_table() -> None:
    kinds = tuple(row.kind for row in RUNTIMES)
    assert get_args(RuntimeKind) == kinds
    assert get_args(RuntimeChoice) == RUNTIME_WORDS
    assert tuple(CONFIGURE_REVISIONS) == kinds


@pytest.mark.parametrize("row", RUNTIMES, ids=lambda row: row.kind)
def test_names_and_hosts_know_each_runtime(row: RuntimeRow) -> None:
    tag = {"sm": "87", "jp": "none", "trt": "1.2", "precision": "fp16", "runtime": row.kind}
    assert EngineFilenameSchema.parse(EngineFilenameSchema.build(model_name="model", **tag)).runtime == row.kind
    names = {field.name for field in fields(HostCapabilities)} | {"tensorrt_version"}
    assert row.version_fact in names
    assert bool(row.default_targets) != row.on_device, "a builder that does not measure names its targets"
    assert row.kind in PROJECT["optional-dependencies"], "a remedy says to install the extra"


def test_a_builder_that_measures_has_the_gpu_in_its_key_and_no_other() -> None:
    assert ("sm" in host_facts(on_device=True), "sm" in host_facts(on_device=False)) == (True, False)


@pytest.mark.parametrize("row", RUNTIMES, ids=lambda row: row.kind)
def test_the_example_of_a_host_is_enough_to_choose_the_runtime(row: RuntimeRow) -> None:
    assert choose_runtime(row.word, parse_host(row.host_example))[0] == row.kind
    assert choose_runtime("auto", parse_host(row.host_example))[0] == row.kind
    assert f"--host {row.host_example}" in _IN_FULL[row.word]
    assert f"--host {row.host_example}" in _IN_FULL["auto"]
    assert RUNTIMES[0].host_example == EXAMPLE


@pytest.mark.parametrize("row", RUNTIMES, ids=lambda row: row.kind)
def test_the_words_for_versions_are_those_of_the_columns_and_of_the_hosts(row: RuntimeRow) -> None:
    columns = GENERATIONS[row.kind]
    if ANY_MAJOR in columns:
        assert row.versions == f"{FACT_OF[row.version_fact].oldest} or later"
        return
    assert row.versions == " or ".join(f"{major}.x" for major in columns)
    assert sorted(columns) == sorted(map(str, SUPPORTED_MAJORS))
    with pytest.raises(EngineBuildError, match=re.escape(f"{row.word}: expected version {row.versions}, got 0.1")):
        generation(row.kind, "0.1")


def test_every_column_belongs_to_one_runtime_and_every_row_names_columns() -> None:
    columns = [column for of_runtime in GENERATIONS.values() for column in of_runtime.values()]
    assert sorted(columns) == sorted(get_args(Generation))
    assert list(GENERATIONS) == [row.kind for row in RUNTIMES]
    assert {column for row in SUPPORT for column in row.supported} == {*columns}


@pytest.mark.parametrize(
    ("choice", "host", "words"),
    [
        ("auto", {}, "expected TensorRT with a GPU, or TensorRT-RTX; found neither"),
        ("auto", {"jp": "6.2"}, "expected TensorRT and a GPU, found no GPU and no TensorRT library of 10.x or 11.x"),
        ("tensorrt", {"trt": "10.3"}, "expected TensorRT and a GPU, found no GPU and TensorRT 10.3"),
        ("tensorrt_rtx", {"trt": "10.3", "sm": "87"}, "expected TensorRT-RTX, found none"),
    ],
)
def test_a_runtime_that_is_not_there_is_named(choice: Any, host: dict[str, Any], words: str) -> None:
    with pytest.raises(HostProbeError, match=re.escape(f"runtime: {words}")):
        choose_runtime(choice, HostCapabilities(**host))
