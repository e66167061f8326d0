"""What a plan says of an engine, as tables: nothing is read but whether a record is there."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from c10.building.planning import PlannedEngine, _is_unstated, _with_known_facts, blocked_lines, build_command
from c10.errors import Reason
from c10.files.naming import EnginePaths
from c10.host import HostCapabilities
from c10.proof.facts import Difference
from c10.proof.verdict import Proof, Refusal

HOST = HostCapabilities(sm="87", jp="6.2", trt="10.3")
RECORD: Any = object()  # proved before, and not looked into here
PROOF = Proof(record=RECORD, sha256="a" * 64, stamp=None)
NEWER = Difference("runtime.version", "10.3.0.26", "10.5.0.18")
WORKSPACE = Difference("workspace_mb", 4096, 512)


def planned(tmp_path: Path, verdict: Proof | Refusal, **about: Any) -> PlannedEngine:
    target: Any = SimpleNamespace(paths=EnginePaths.of(tmp_path / "m.engine"))
    return PlannedEngine(target=target, verdict=verdict, **about)


def refusal(reason: Reason, *differences: Difference) -> Refusal:
    return Refusal(reason=reason, differences=differences, record=RECORD, sha256="a" * 64)


@pytest.mark.parametrize(
    ("verdict", "blocked", "action"),
    [
        (PROOF, "", "reuse"),
        (refusal("missing"), "", "build"),
        (refusal("missing"), "m.onnx: expected a readable file", "blocked"),
        (refusal("inputs_changed", WORKSPACE), "", "build"),
        (PROOF, "m.onnx: expected a readable file", "reuse"),  # a proof needs no source
    ],
)
def test_the_action(tmp_path: Path, verdict: Proof | Refusal, blocked: str, action: str) -> None:
    assert planned(tmp_path, verdict, blocked=blocked).action == action


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ((), "no engine yet"),
        ((WORKSPACE,), "no engine yet"),  # with the same name the engine would not be missing
        ((NEWER,), "TensorRT 10.3.0.26 → 10.5.0.18: new name, nothing there yet"),
        (
            (NEWER, WORKSPACE),
            "TensorRT 10.3.0.26 → 10.5.0.18: new name, nothing there yet; workspace (MiB) 4096 → 512",
        ),
    ],
)
def test_why_an_engine_is_missing(tmp_path: Path, changes: tuple[Difference, ...], why: str) -> None:
    assert planned(tmp_path, refusal("missing"), changes=changes).why == why


def test_an_engine_whose_record_is_left_is_gone_and_not_new(tmp_path: Path) -> None:
    engine = planned(tmp_path, refusal("missing"), changes=(NEWER,))
    engine.target.paths.record.write_bytes(b"{}")
    assert engine.why == "the engine is gone, only files beside it are left"


def test_what_blocks_a_build_is_said_once(tmp_path: Path) -> None:
    lacks = "m.onnx: expected a readable file, got none"
    assert planned(tmp_path, refusal("missing"), blocked=lacks).why == f"no engine yet; {lacks}"
    unreadable = Refusal(reason="source_unreadable", detail=lacks)
    assert planned(tmp_path, unreadable, blocked=lacks).why.count(lacks) == 1


@pytest.mark.parametrize(
    ("difference", "unstated"),
    [
        (Difference("runtime.onnx", "1.19", "1.20"), True),  # a package of this machine
        (Difference("environment.NVIDIA_TF32_OVERRIDE", "0", None), True),
        (Difference("runtime.version", "10.3.0.26", "10.3"), True),
        (Difference("runtime.version", "10.3.0.26", None), True),
        (Difference("runtime.version", "10.30.0.1", "10.3"), False),  # no prefix by whole numbers
        (Difference("runtime.version", "10.3.0.26", "10.5"), False),
        (Difference("host.sm_count", 16, None), True),
        (Difference("host.sm", "87", "89"), False),
        (WORKSPACE, False),
    ],
)
def test_which_facts_of_another_host_nobody_stated(difference: Difference, unstated: bool) -> None:  # noqa: FBT001
    assert _is_unstated(difference, HOST) is unstated


def test_an_engine_is_reused_there_only_if_nothing_that_is_stated_differs() -> None:
    open_, stated = Difference("host.sm_count", 16, None), WORKSPACE
    assert _with_known_facts(PROOF, HOST) == (PROOF, ())
    assert _with_known_facts(refusal("inputs_changed", open_), HOST) == (PROOF, (open_,))
    assert _with_known_facts(refusal("inputs_changed", open_, stated), HOST) == (
        refusal("inputs_changed", stated),
        (open_,),
    )
    unproved = Refusal(reason="inputs_changed", differences=(open_,))
    assert isinstance(_with_known_facts(unproved, HOST)[0], Refusal)


def test_one_engine_that_is_blocked_does_not_stop_the_others(tmp_path: Path) -> None:
    build, blocked = (planned(tmp_path, refusal("missing"), blocked=words) for words in ("", "m.onnx: gone"))
    assert build_command([build]) == "doit engines"
    assert build_command([build, blocked]) == "doit --continue engines"
    assert list(blocked_lines([build])) == []
    (line,) = blocked_lines([build, blocked])
    assert line.startswith("1 of 2 engines blocked: ")
