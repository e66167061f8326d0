"""Engines are signed as they are built, and one that nobody trusted signed is never reused."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_runtime import planned
from harness import TESTS, Corpus, Run, flip_byte, request_of, run, snapshot
from pem_keys import KeyPair, make_keys, openssl

import c10
from c10 import (
    ConfigError,
    EngineCompiler,
    InvalidSignatureError,
    MissingSignatureError,
    RevokedSignatureError,
    SigningError,
    SigningPolicy,
    UntrustedSignatureError,
    VerificationError,
    sign_engine,
)
from c10.signing.check import check_signature
from c10.signing.envelope import PAYLOAD_TYPE, signed_bytes

MODEL = "lightglue"
SECURITY = TESTS.parent / "docs" / "security.md"


@pytest.fixture
def keys(tmp_path: Path) -> KeyPair:
    return make_keys(tmp_path / "keys", "builder")


@pytest.fixture
def stranger(tmp_path: Path) -> KeyPair:
    return make_keys(tmp_path / "keys", "stranger")


def set_policy(corpus: Corpus, **values: Any) -> Corpus:
    """Write the signing policy into the corpus's backbones.toml, in place of an older one; paths are absolute."""
    corpus.settings = {key: value for key, value in corpus.settings.items() if not key.startswith("signing.")}
    corpus.settings |= {f"signing.{key}": value for key, value in values.items()}
    return corpus


def require(corpus: Corpus, *trusted: KeyPair, private: Path | None = None, revoked: tuple[str, ...] = ()) -> Corpus:
    values: dict[str, Any] = {"require_signature": True, "trusted_keys": [str(pair.public) for pair in trusted]}
    if private is not None:
        values["private_key"] = str(private)
    return set_policy(corpus, **values, revoked=list(revoked))


def engine_files(corpus: Corpus, model: str = MODEL) -> tuple[Path, Path, Path]:
    engine = corpus.engine(model)
    return engine, Path(f"{engine}.json"), Path(f"{engine}.dsse.json")


def check(corpus: Corpus, policy: SigningPolicy, model: str = MODEL) -> None:
    engine, record, envelope = engine_files(corpus, model)
    content = record.read_bytes()
    sha256 = json.loads(content)["subject"][0]["digest"]["sha256"]
    signed = envelope.read_bytes() if envelope.exists() else None
    check_signature(engine, content, signed, policy, sha256=sha256)


def built(corpus: Corpus, *options: str) -> Run:
    done = run("doit", corpus, *options)
    assert done.rc == 0, done.stderr + done.stdout
    return done


def test_each_engine_is_signed_and_then_reused(corpus: Corpus, keys: KeyPair, driver: Any) -> None:
    require(corpus, keys, private=keys.private)
    first = run(driver, corpus)
    assert set(first.outcomes.values()) == {"BUILT"}, first.stderr
    for model in corpus.models:
        _, record, envelope = engine_files(corpus, model)
        document = json.loads(envelope.read_bytes())
        assert document["payloadType"] == "application/vnd.in-toto+json"
        assert base64.b64decode(document["payload"]) == record.read_bytes()
        assert [s["keyid"] for s in document["signatures"]] == [keys.keyid]
    again = run(driver, corpus)
    assert set(again.outcomes.values()) == {"REUSED"}
    assert again.calls == []


def test_a_device_without_the_private_key_reuses_what_is_signed(corpus: Corpus, keys: KeyPair) -> None:
    built(require(corpus, keys, private=keys.private))
    keys.private.unlink()
    again = built(require(corpus, keys))
    assert set(again.outcomes.values()) == {"REUSED"}


def test_the_environment_names_the_key(
    corpus: Corpus, keys: KeyPair, monkeypatch: pytest.MonkeyPatch, driver: Any
) -> None:
    monkeypatch.setenv("C10_SIGNING_KEY", str(keys.private))
    first = run(driver, require(corpus, keys))
    assert set(first.outcomes.values()) == {"BUILT"}, first.error
    check(corpus, SigningPolicy(require_signature=True, trusted_keys=(keys.public,)))


def test_doit_and_engine_compiler_sign_alike_with_the_key_of_the_environment(
    corpus: Corpus, keys: KeyPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("C10_SIGNING_KEY", str(keys.private))
    made = {}
    for driver in ("EngineCompiler", "doit"):
        shutil.rmtree(corpus.engines, ignore_errors=True)
        assert set(run(driver, corpus).outcomes.values()) == {"BUILT"}
        engine, record, envelope = (path.read_bytes() for path in engine_files(corpus))
        document = json.loads(envelope)
        assert base64.b64decode(document.pop("payload")) == record
        (signature,) = document["signatures"]
        assert signature.pop("sig")
        made[driver] = engine, timeless(json.loads(record)), document
        before = snapshot(corpus.engines)
        for other in ("doit", "EngineCompiler"):
            again = run(other, corpus)
            assert set(again.outcomes.values()) == {"REUSED"}, f"built by {driver}, then {other}"
            assert again.calls == []
        assert snapshot(corpus.engines) == before
    assert made["doit"] == made["EngineCompiler"]


def timeless(value: Any) -> Any:
    """Leave out of a record how long the build took, and when it was."""
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if not re.search("(?i)duration|started|finished", k)}
    return value


def test_one_place_reads_the_environment_for_the_signing_policy() -> None:
    sources = Path(c10.__file__).parent.rglob("*.py")
    callers = [path.name for path in sources if ".with_environment()" in path.read_text("utf-8")]
    assert callers == ["targets.py"]


def test_without_a_list_of_trusted_keys_its_own_signature_counts(
    corpus: Corpus, keys: KeyPair, stranger: KeyPair
) -> None:
    built(set_policy(corpus, private_key=str(keys.private)))
    assert set(built(corpus).outcomes.values()) == {"REUSED"}
    forge(corpus, stranger)
    assert built(corpus).events.one("c10.engine.cache.miss").fields["reason"] == "signature_untrusted"
    remove(corpus, stranger)
    assert built(corpus).events.one("c10.engine.cache.miss").fields["reason"] == "signature_missing"


def remove(corpus: Corpus, _: KeyPair) -> None:
    engine_files(corpus)[2].unlink()


def damage(corpus: Corpus, _: KeyPair) -> None:
    flip_byte(engine_files(corpus)[2], 100)


def forge(corpus: Corpus, stranger: KeyPair) -> None:
    engine, _, envelope = engine_files(corpus)
    envelope.unlink()
    sign_engine(engine, stranger.private)


def take_from_another_engine(corpus: Corpus, _: KeyPair) -> None:
    engine_files(corpus)[2].write_bytes(engine_files(corpus, "aliked")[2].read_bytes())


ATTACKS = {
    "signature_missing": (remove,),
    "signature_invalid": (damage, take_from_another_engine),
    "signature_untrusted": (forge,),
}


@pytest.mark.parametrize("reason", ATTACKS)
def test_an_engine_not_signed_by_the_trusted_is_built_anew(
    corpus: Corpus, keys: KeyPair, stranger: KeyPair, driver: Any, reason: str
) -> None:
    run(driver, require(corpus, keys, private=keys.private))
    for attack in ATTACKS[reason]:
        attack(corpus, stranger)
        done = run(driver, corpus)
        assert done.calls == [MODEL]
        assert [e.fields["reason"] for e in done.events.named("c10.engine.cache.miss")] == [reason]
        assert reason in done.reason(MODEL)
        check(corpus, SigningPolicy(require_signature=True, trusted_keys=(keys.public,)))


def test_what_a_revoked_key_signed_is_built_anew_with_the_new_one(
    corpus: Corpus, keys: KeyPair, tmp_path: Path
) -> None:
    built(require(corpus, keys, private=keys.private))
    new = make_keys(tmp_path / "keys", "new")
    done = built(require(corpus, keys, new, private=new.private, revoked=(keys.keyid,)))
    assert [e.fields["reason"] for e in done.events.named("c10.engine.cache.miss")] == ["signature_revoked"] * 3


def test_a_revoked_engine_is_never_reused_even_where_signatures_are_not_asked_for(corpus: Corpus) -> None:
    built(corpus)
    _, record, _ = engine_files(corpus)
    digest = json.loads(record.read_bytes())["subject"][0]["digest"]["sha256"]
    done = built(set_policy(corpus, revoked=[digest]))
    assert done.calls == [MODEL]
    assert done.events.one("c10.engine.cache.miss").fields["reason"] == "signature_revoked"


def test_without_a_key_to_sign_with_nothing_is_compiled(corpus: Corpus, keys: KeyPair, driver: Any) -> None:
    built(corpus)
    before = snapshot(corpus.engines)
    done = run(driver, require(corpus, keys))
    assert done.calls == []
    assert done.rc == 1
    assert snapshot(corpus.engines) == before
    error = done.events.one("c10.engine.compile.error")
    assert error.fields["error_class"] == "SigningError"
    assert "expected a private key" in error.fields["message"]
    assert "Traceback" not in done.stderr + done.stdout


def test_a_key_whose_signature_would_not_count_is_refused_before_compiling(
    corpus: Corpus, keys: KeyPair, stranger: KeyPair, tmp_path: Path
) -> None:
    rsa = make_keys(tmp_path / "keys", "rsa", "RSA")
    encrypted = tmp_path / "keys" / "encrypted.pem"
    openssl("pkey", "-in", str(keys.private), "-aes256", "-passout", "pass:secret", "-out", str(encrypted))
    cases = {
        stranger.private: "expected a key among trusted_keys",
        rsa.private: "expected an Ed25519 private key",
        encrypted: "without a password",
        keys.public: "expected an Ed25519 private key",
        tmp_path / "none.pem": "No such file",
    }
    for private, words in cases.items():
        done = run("doit", require(corpus, keys, private=private))
        assert done.rc == 1
        assert done.calls == []
        assert words in done.stdout
    done = run("doit", require(corpus, keys, private=keys.private, revoked=(keys.keyid,)))
    assert done.calls == []
    assert "revoked" in done.stdout


def test_a_trusted_key_that_is_none_is_told_and_nothing_is_reused(corpus: Corpus, keys: KeyPair) -> None:
    built(require(corpus, keys, private=keys.private))
    keys.public.write_text("not a key", "utf-8")
    done = run("doit", require(corpus, keys, private=keys.private))
    assert "FAILED" in done.stdout
    assert "expected an Ed25519 public key" in done.stdout
    assert done.calls == []


def test_signatures_need_a_package_and_say_so(corpus: Corpus, keys: KeyPair, monkeypatch: pytest.MonkeyPatch) -> None:
    built(require(corpus, keys, private=keys.private))
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives", None)
    with pytest.raises(SigningError, match=r"c10\[sign\]"):
        check(corpus, SigningPolicy(require_signature=True, trusted_keys=(keys.public,)))


def test_clean_removes_the_signature_too(corpus: Corpus, keys: KeyPair) -> None:
    built(require(corpus, keys, private=keys.private))
    assert len(list(corpus.engines.glob("*.engine*"))) == 12
    done = corpus.doit("clean", "engines")
    assert done.returncode == 0, done.stderr
    assert list(corpus.engines.glob("*.engine*")) == []


def test_a_build_without_a_key_leaves_no_signature_of_the_older_engine(corpus: Corpus, keys: KeyPair) -> None:
    built(require(corpus, keys, private=keys.private))
    set_policy(corpus)
    corpus.onnx(MODEL).write_bytes(corpus.onnx("aliked").read_bytes())
    done = built(corpus)
    assert done.calls == [MODEL]
    assert not engine_files(corpus)[2].exists()
    assert engine_files(corpus, "aliked")[2].exists()


def test_the_removal_of_an_older_signature_is_made_durable(
    corpus: Corpus, keys: KeyPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    built(require(corpus, keys, private=keys.private))
    set_policy(corpus)
    corpus.onnx(MODEL).write_bytes(corpus.onnx("aliked").read_bytes())
    envelope, synced = engine_files(corpus)[2], []

    def sync(directory: Path) -> None:
        synced.append((directory, envelope.exists()))

    monkeypatch.setattr("c10.files.publish.sync_directory", sync)
    assert run("EngineCompiler", corpus).outcomes[MODEL] == "BUILT"
    assert synced[-1] == (corpus.engines, False)


def test_rotation(corpus: Corpus, keys: KeyPair, tmp_path: Path) -> None:
    new = make_keys(tmp_path / "keys", "new")
    built(require(corpus, keys, private=keys.private))
    only_new = SigningPolicy(require_signature=True, trusted_keys=(new.public,))
    with pytest.raises(UntrustedSignatureError):
        check(corpus, only_new)
    for model in corpus.models:
        sign_engine(corpus.engine(model), new.private)
        sign_engine(corpus.engine(model), new.private)  # again: one signature a key
    envelope = json.loads(engine_files(corpus)[2].read_bytes())
    assert [s["keyid"] for s in envelope["signatures"]] == [keys.keyid, new.keyid]
    check(corpus, only_new)
    check(corpus, SigningPolicy(require_signature=True, trusted_keys=(keys.public,)))
    check(corpus, SigningPolicy(require_signature=True, trusted_keys=(keys.public, new.public), revoked=(keys.keyid,)))
    done = built(require(corpus, new, private=new.private, revoked=(keys.keyid,)))
    assert set(done.outcomes.values()) == {"REUSED"}


def test_only_an_intact_engine_is_signed(corpus: Corpus, keys: KeyPair) -> None:
    built(corpus)
    engine, _, envelope = engine_files(corpus)
    flip_byte(engine)
    with pytest.raises(VerificationError, match="expected an intact engine"):
        sign_engine(engine, keys.private)
    assert not envelope.exists()


def test_a_signature_that_is_not_asked_for_may_be_absent_and_not_wrong(
    corpus: Corpus, keys: KeyPair, stranger: KeyPair
) -> None:
    built(corpus)
    policy = SigningPolicy(trusted_keys=(keys.public,))
    check(corpus, policy)
    sign_engine(corpus.engine(MODEL), stranger.private)
    with pytest.raises(UntrustedSignatureError):
        check(corpus, policy)
    check(corpus, SigningPolicy())


def test_each_byte_of_an_envelope_counts(corpus: Corpus, keys: KeyPair) -> None:
    built(require(corpus, keys, private=keys.private))
    envelope = engine_files(corpus)[2]
    content = envelope.read_bytes()
    policy = SigningPolicy(require_signature=True, trusted_keys=(keys.public,))
    check(corpus, policy)
    for offset in range(len(content)):
        mutated = bytearray(content)
        mutated[offset] ^= 1 << offset % 8
        envelope.write_bytes(mutated)
        with pytest.raises((InvalidSignatureError, UntrustedSignatureError)):
            check(corpus, policy)


@pytest.mark.parametrize(
    "change",
    [
        lambda e: {**e, "signatures": []},
        lambda e: {**e, "signatures": e["signatures"] * 2},
        lambda e: {**e, "signatures": [{**e["signatures"][0], "sig": "AAAA"}]},
        lambda e: {**e, "payloadType": "text/plain"},
        lambda e: {**e, "extra": 1},
        lambda e: {**e, "signatures": None},
        lambda e: [e],
        lambda _: None,
    ],
)
def test_other_envelopes_are_no_signature(corpus: Corpus, keys: KeyPair, change: Any) -> None:
    built(require(corpus, keys, private=keys.private))
    envelope = engine_files(corpus)[2]
    document = change(json.loads(envelope.read_bytes()))
    envelope.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    with pytest.raises((InvalidSignatureError, UntrustedSignatureError)):
        check(corpus, SigningPolicy(require_signature=True, trusted_keys=(keys.public,)))


def test_a_missing_and_a_revoked_signature_have_errors_of_their_own(corpus: Corpus, keys: KeyPair) -> None:
    built(require(corpus, keys, private=keys.private))
    revoked = SigningPolicy(require_signature=True, trusted_keys=(keys.public,), revoked=(keys.keyid,))
    with pytest.raises(RevokedSignatureError, match="signed by a key that is revoked"):
        check(corpus, revoked)
    engine_files(corpus)[2].unlink()
    with pytest.raises(MissingSignatureError):
        check(corpus, revoked)


def test_a_policy_that_is_none_is_refused(keys: KeyPair, corpus: Corpus) -> None:
    with pytest.raises(ConfigError, match="trusted_keys: expected at least one key"):
        SigningPolicy(require_signature=True)
    with pytest.raises(ConfigError, match="64 hex digits"):
        SigningPolicy(trusted_keys=(keys.public,), revoked=("abc",))
    done = run("doit", set_policy(corpus, require_signature=True, revoked=["abc"]))
    assert done.rc != 0
    assert "signing.trusted_keys: expected at least one key, because require_signature is true, got none" in done.stderr
    assert "signing.revoked: expected key ids and digests of 64 hex digits, got 'abc'" in done.stderr


def test_the_compiler_in_python_follows_the_policy_too(corpus: Corpus, keys: KeyPair) -> None:
    policy = SigningPolicy(require_signature=True, trusted_keys=(keys.public,))
    compiler = EngineCompiler(planned(corpus.folder)[1])
    with pytest.raises(SigningError, match="expected a private key"):
        compiler.compile_engines_for_corpus(replace(request_of(corpus), signing=policy))
    assert corpus.calls() == []


def test_what_is_signed_is_dsses_encoding() -> None:
    # The form of protocol.md, with the length of each part in decimal.
    assert signed_bytes(b"hello world") == b"DSSEv1 28 application/vnd.in-toto+json 11 hello world"
    assert len(PAYLOAD_TYPE) == 28


def test_a_signature_is_verified_with_public_tools_alone(corpus: Corpus, keys: KeyPair, stranger: KeyPair) -> None:
    built(require(corpus, keys, private=keys.private))
    text = SECURITY.read_text("utf-8")
    (recipe,) = re.findall(r"<!-- verify a signature -->\n```sh\n(.*?)```", text, re.DOTALL)
    engine = corpus.engine(MODEL)

    def verify(public: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-euc", recipe],
            cwd=corpus.engines,
            env={"PATH": os.environ["PATH"], "engine": engine.name, "key": str(public), "TMPDIR": str(corpus.folder)},
            capture_output=True,
            text=True,
            check=False,
        )

    good = verify(keys.public)
    assert good.returncode == 0, good.stderr
    assert "Signature Verified Successfully" in good.stdout
    assert f"{engine.name}: OK" in good.stdout
    assert verify(stranger.public).returncode != 0
    flip_byte(engine)
    assert verify(keys.public).returncode != 0
    flip_byte(engine)
    flip_byte(engine_files(corpus)[1], 40)  # the record
    assert verify(keys.public).returncode != 0


def test_without_a_policy_nobody_imports_cryptography(corpus: Corpus) -> None:
    built(corpus)
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "doit", "engines"],
        cwd=corpus.folder,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.count("REUSED") == 3
    assert "c10.proof.verdict" in done.stderr
    assert "cryptography" not in done.stderr
