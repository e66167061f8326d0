"""The table of runtimes: every list that it cannot write itself agrees with it."""

from __future__ import annotations

from dataclasses import fields
from typing import get_args

import pytest

from c10 import EngineFilenameSchema, HostCapabilities, RuntimeChoice
from c10.corpus.revisions import CONFIGURE_REVISIONS
from c10.corpus.runtimes import RUNTIME_WORDS, RUNTIMES, RuntimeKind, RuntimeRow
from c10.host.capabilities import host_facts


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
    assert ("sm" in host_facts(row.kind)) == row.on_device, "a builder that measures has the GPU in its key, no other"
