"""judge() and check_bytes(): what is on disk → a Proof, or a Refusal with its reason and what was found."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from fake_runtime import FakeRuntime
from harness import HOST, flip_byte, onnx_bytes
from signing_keys import Key, make_key

from c10.building.build import build_engine
from c10.building.run import RunState
from c10.corpus.spec import BackboneSpec, BuildOptions
from c10.corpus.target import EngineTarget, engine_target
from c10.errors import Reason
from c10.files.digest import FileDigest, digest_file
from c10.files.sidecar import Sha256Sidecar
from c10.host import HostCapabilities
from c10.proof.record import read_record
from c10.proof.sources import SourceDigests
from c10.proof.verdict import _WORDS, SIDECAR_REASONS, Proof, Refusal, Verdict, check_bytes, judge, record_stamp
from c10.runtimes.protocol import CompileOutcome
from c10.signing.policy import SigningPolicy

NAMES = ("model", "other")
INTACT = "intact, and built from exactly these inputs"


@dataclasses.dataclass(frozen=True)
class Cache:
    """Two engines that are right, unless a test changes what is on disk."""

    target: EngineTarget
    other: EngineTarget
    key: Key
    stranger: Key

    def policy(self, **values: Any) -> SigningPolicy:
        return SigningPolicy(**{"trusted_keys": (self.key.public,), **values})

    def compile(self, target: EngineTarget, verdict: Verdict) -> CompileOutcome:
        runtime = FakeRuntime(target.onnx_path.with_name("calls.txt"))
        return build_engine(target, verdict, RunState(), runtime).outcome


def judged(target: EngineTarget) -> Verdict:
    return judge(target, SourceDigests())


def refused(verdict: Verdict) -> Refusal:
    assert isinstance(verdict, Refusal), verdict
    return verdict


def target_in(folder: Path, model: str, signing: SigningPolicy) -> EngineTarget:
    onnx_path = folder / f"{model}.onnx"
    onnx_path.write_bytes(onnx_bytes(model))
    spec = BackboneSpec(model_name=model, onnx_path=onnx_path, expected_input_shape=(1, 3, 8, 8))
    host = HostCapabilities(**HOST)
    return engine_target(spec, host=host, runtime="trt", cache_root=folder / "engines", signing=signing)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    key, stranger = make_key(tmp_path, "builder"), make_key(tmp_path, "stranger")
    signing = SigningPolicy(trusted_keys=(key.public,), private_key=tmp_path / "builder.pem")
    target, other = (target_in(tmp_path, model, signing) for model in NAMES)
    made = Cache(target, other, key, stranger)
    for target in (made.target, made.other):
        made.compile(target, judged(target))
    return made


def test_an_engine_that_is_right_is_a_proof(cache: Cache) -> None:
    target = cache.target
    proof = judged(target)
    assert isinstance(proof, Proof)
    assert proof.record == read_record(target.paths.record)
    assert proof.sha256 == proof.record.sha256 == Sha256Sidecar.read(target.engine_path)
    assert proof.stamp == record_stamp(target.engine_path)
    assert str(proof) == INTACT
    assert check_bytes(target.engine_path) == proof


def test_neither_answer_can_be_had_by_default() -> None:
    with pytest.raises(TypeError, match="'record', 'sha256', and 'stamp'"):
        Proof()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="'reason'"):
        Refusal()  # type: ignore[call-arg]
    for kind in (Proof, Refusal):
        assert "__slots__" in vars(kind)
        assert vars(kind)["__dataclass_params__"].frozen
    assert not [field for field in dataclasses.fields(Proof) if field.default is not dataclasses.MISSING]


@pytest.mark.parametrize("reason", get_args(Reason))
def test_each_reason_has_words(reason: Reason) -> None:
    assert str(Refusal(reason=reason)) == _WORDS[reason]
    assert str(Refusal(reason=reason, detail="more")) == f"{_WORDS[reason]} (more)"
    if reason in SIDECAR_REASONS:
        assert _WORDS[reason].startswith(f"{reason}: ")


def _as_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _sidecar(target: EngineTarget, digest: str) -> None:
    target.paths.sidecar.write_text(f"{digest}  {target.engine_path.name}\n", "utf-8")


def _rename(target: EngineTarget, other: EngineTarget) -> None:
    """All files of the other engine in this one's place, and the sidecar made to fit."""
    for path, its in zip(target.files(), other.files(), strict=True):
        path.write_bytes(its.read_bytes())
    _sidecar(target, Sha256Sidecar.read(other.engine_path))


#: What is done to an engine's files → the reason, how its words go on, and whether digest and record are known.
DAMAGE: dict[str, tuple[Callable[[EngineTarget, EngineTarget], Any], Reason, str, str]] = {
    "engine gone": (lambda t, _: t.engine_path.unlink(), "missing", "", ""),
    "engine and sidecar gone": (
        lambda t, _: (t.engine_path.unlink(), t.paths.sidecar.unlink()),
        "missing",
        "",
        "",
    ),
    "engine gone, sidecar garbage": (
        lambda t, _: (t.engine_path.unlink(), t.paths.sidecar.write_bytes(b"garbage")),
        "missing",
        "expected '<64 hex digits>",
        "",
    ),
    "engine a directory": (lambda t, _: _as_directory(t.engine_path), "engine_unreadable", "Is a directory", ""),
    "one byte flipped": (lambda t, _: flip_byte(t.engine_path), "digest_mismatch", "… → ", "sha256"),
    "engine empty": (lambda t, _: t.engine_path.write_bytes(b""), "digest_mismatch", "… → ", "sha256"),
    "another engine's bytes": (
        lambda t, o: t.engine_path.write_bytes(o.engine_path.read_bytes()),
        "digest_mismatch",
        "… → ",
        "sha256",
    ),
    "sidecar gone": (lambda t, _: t.paths.sidecar.unlink(), "sidecar_missing", "", ""),
    "sidecar garbage": (
        lambda t, _: t.paths.sidecar.write_bytes(b"garbage"),
        "sidecar_malformed",
        "expected '<64 hex digits>",
        "",
    ),
    "sidecar a directory": (
        lambda t, _: _as_directory(t.paths.sidecar),
        "sidecar_malformed",
        "expected a readable sidecar",
        "",
    ),
    "sidecar of zeros": (lambda t, _: _sidecar(t, "0" * 64), "digest_mismatch", "000000000000… → ", "sha256"),
    "record gone": (lambda t, _: t.paths.record.unlink(), "record_missing", "", "sha256"),
    "record cut short": (
        lambda t, _: t.paths.record.write_bytes(t.paths.record.read_bytes()[:-10]),
        "record_unreadable",
        "expected a build record",
        "sha256",
    ),
    "record a directory": (
        lambda t, _: _as_directory(t.paths.record),
        "record_unreadable",
        "expected a readable build record",
        "sha256",
    ),
    "record of another engine": (
        lambda t, o: t.paths.record.write_bytes(o.paths.record.read_bytes()),
        "record_mismatch",
        "of other__",
        "sha256",
    ),
    "all files of another engine": (_rename, "record_mismatch", "of other__", "sha256"),
    "envelope gone": (
        lambda t, _: t.paths.envelope.unlink(),
        "signature_missing",
        "expected a signature, found none",
        "sha256 record",
    ),
    "envelope a directory": (
        lambda t, _: _as_directory(t.paths.envelope),
        "signature_invalid",
        "expected a readable signature",
        "sha256 record",
    ),
    "envelope of another engine": (
        lambda t, o: t.paths.envelope.write_bytes(o.paths.envelope.read_bytes()),
        "signature_invalid",
        "got one of another record",
        "sha256 record",
    ),
    "model gone": (lambda t, _: t.onnx_path.unlink(), "source_unreadable", "", "sha256 record"),
    "model changed": (
        lambda t, o: t.onnx_path.write_bytes(o.onnx_path.read_bytes()),
        "inputs_changed",
        "ONNX changed: sha256 ",
        "sha256 record",
    ),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_an_engine_that_is_not_right_is_refused_with_its_reason(cache: Cache, what: str) -> None:
    damage, reason, words, found = DAMAGE[what]
    target = cache.target
    record = read_record(target.paths.record)
    damage(target, cache.other)
    refusal = refused(judged(target))
    assert refusal.reason == reason
    assert words in str(refusal)
    if not words:
        assert refusal.detail == "" or reason == "source_unreadable"
    assert (refusal.sha256 is not None) == ("sha256" in found)
    assert refusal.record == (record if "record" in found else None)
    assert refusal.stamp == record_stamp(target.engine_path)
    assert (refusal.differences != ()) == (reason == "inputs_changed")


#: What a policy says of two engines that ``builder`` signed.
POLICIES: dict[str, tuple[Callable[[Cache], SigningPolicy], Reason | None]] = {
    "none": (lambda _: SigningPolicy(), None),
    "the builder's key": (lambda c: c.policy(require_signature=True), None),
    "a stranger's key": (lambda c: c.policy(trusted_keys=(c.stranger.public,)), "signature_untrusted"),
    "a revoked key": (lambda c: c.policy(revoked=(c.key.keyid,)), "signature_revoked"),
    "a revoked engine": (
        lambda c: SigningPolicy(revoked=(Sha256Sidecar.read(c.target.engine_path),)),
        "signature_revoked",
    ),
    "a key that is not there": (
        lambda c: c.policy(trusted_keys=(c.key.public.with_name("none.pem"),)),
        "signature_invalid",
    ),
}


@pytest.mark.parametrize("what", POLICIES)
def test_the_policy_decides_whose_signature_counts(cache: Cache, what: str) -> None:
    policy, reason = POLICIES[what]
    target = replace(cache.target, signing=policy(cache))
    verdict = judged(target)
    assert verdict == check_bytes(target.engine_path, signing=target.signing)
    if reason is None:
        assert isinstance(verdict, Proof)
    else:
        refusal = refused(verdict)
        assert refusal.reason == reason
        assert refusal.record == read_record(target.paths.record)


#: What is asked for now → the difference from what was recorded.
INPUTS: dict[str, tuple[Callable[[EngineTarget], EngineTarget], str]] = {
    "workspace": (
        lambda t: replace(t, build_config=replace(t.build_config, workspace_mb=64)),
        "workspace (MiB) 4096 → 64",
    ),
    "option": (
        lambda t: replace(t, build_config=replace(t.build_config, options=BuildOptions(sparse_weights=True))),
        "sparse weights",
    ),
    "SM count": (
        lambda t: replace(t, host=replace(t.host, sm_count=(t.host.sm_count or 0) + 1)),
        "SM count",
    ),
}


@pytest.mark.parametrize("what", INPUTS)
def test_other_inputs_are_told_one_by_one(cache: Cache, what: str) -> None:
    change, words = INPUTS[what]
    changed = change(cache.target)
    refusal = refused(judged(changed))
    assert refusal.reason == "inputs_changed"
    assert len(refusal.differences) == 1
    assert str(refusal).startswith(words)
    assert isinstance(check_bytes(changed.engine_path), Proof)  # the bytes are what they were


def test_an_engine_under_another_name_is_named(cache: Cache) -> None:
    target = cache.target
    newer = target.engine_path.with_name(target.engine_path.name.replace("_fp16", "_fp32"))
    refusal = refused(judged(replace(target, engine_path=newer)))
    assert (refusal.reason, str(refusal)) == ("missing", "no engine yet (precision fp16 → fp32)")


@pytest.mark.parametrize("folder", ["none", "a file"])
def test_where_there_is_no_folder_there_is_no_engine(cache: Cache, tmp_path: Path, folder: str) -> None:
    (tmp_path / "a file").touch()
    path = tmp_path / folder / cache.target.engine_path.name
    refusal = refused(judged(replace(cache.target, engine_path=path)))
    assert (refusal.reason, refusal.stamp) == ("missing", None)


@pytest.mark.parametrize("what", ["sidecar gone", "sidecar garbage", "sidecar a directory"])
def test_an_engine_that_no_sidecar_names_is_not_hashed(cache: Cache, what: str) -> None:
    def never(path: Path) -> FileDigest:
        raise AssertionError(path)

    DAMAGE[what][0](cache.target, cache.other)
    assert refused(check_bytes(cache.target.engine_path, never)).reason == DAMAGE[what][1]


def test_only_the_digest_of_the_bytes_is_a_proof(cache: Cache) -> None:
    path = cache.target.engine_path
    assert isinstance(check_bytes(path, digest_file), Proof)
    wrong = digest_file(path)._replace(sha256="0" * 64)
    assert refused(check_bytes(path, lambda _: wrong)).reason == "digest_mismatch"


def test_a_proof_that_is_refused_keeps_what_was_found(cache: Cache) -> None:
    proof = judged(cache.target)
    assert isinstance(proof, Proof)
    refusal = proof.refused("forced")
    assert (refusal.reason, refusal.record, refusal.sha256, refusal.stamp) == (
        "forced",
        proof.record,
        proof.sha256,
        proof.stamp,
    )
    assert str(refusal) == "a rebuild was requested"


def test_a_proof_that_a_build_is_asked_for_all_the_same_is_forced(cache: Cache) -> None:
    calls = cache.target.onnx_path.with_name("calls.txt")
    before = calls.read_text("utf-8")
    assert cache.compile(cache.target, judged(cache.target)) is CompileOutcome.BUILT
    assert calls.read_text("utf-8") == f"{before}{NAMES[0]}\n"


def test_what_another_process_built_meanwhile_is_judged_again_and_reused(cache: Cache) -> None:
    record = cache.target.paths.record.read_bytes()
    cache.target.paths.record.unlink()
    refusal = refused(judged(cache.target))
    cache.target.paths.record.write_bytes(record)
    assert cache.compile(cache.target, refusal) is CompileOutcome.REUSED


def test_a_refusal_of_what_is_still_there_is_built(cache: Cache) -> None:
    flip_byte(cache.target.engine_path)
    assert cache.compile(cache.target, judged(cache.target)) is CompileOutcome.BUILT
    assert isinstance(judged(cache.target), Proof)
