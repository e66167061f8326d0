"""load_engine hands out an engine's bytes only where nothing speaks against them."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from fake_runtime import FakeRuntime
from harness import Corpus, flip_byte, onnx_bytes, request_of
from pem_keys import KeyPair, make_keys

from c10 import (
    BackboneConfig,
    BackboneSpec,
    BuildKeyMismatchError,
    BuildOptions,
    C10ProvisioningConfig,
    ConfigError,
    DigestMismatchError,
    EngineCompiler,
    EngineCompileRequest,
    HostCapabilities,
    HostMismatchError,
    InvalidRecordError,
    InvalidSidecarError,
    InvalidSignatureError,
    MissingRecordError,
    MissingSidecarError,
    MissingSignatureError,
    RecordMismatchError,
    RevokedSignatureError,
    Sha256Sidecar,
    SigningError,
    SigningPolicy,
    UnreadableEngineError,
    UntrustedSignatureError,
    VerificationError,
    build_backbone_specs,
    build_engine_compiler,
    load_engine,
    sign_engine,
)
from c10.host import probe_host
from c10.host.cuda import probe_gpu

MUTATIONS = 10_000
SEED = 20261123
SUFFIXES = ("", ".sha256", ".json", ".dsse.json")
ORIN = HostCapabilities(
    sm="87",
    jp="6.2",
    trt="10.3",
    trt_version="10.3.0.26",
    device_name="Orin",
    sm_count=16,
    cuda_driver="12.6",
    l4t="36.4.3",
    os="Linux",
    machine="aarch64",
)


@dataclass(frozen=True)
class Signed:
    """Two engines that a key signed, and the policy that trusts it."""

    engines: tuple[Path, ...]
    keys: KeyPair
    stranger: KeyPair

    @property
    def engine(self) -> Path:
        return self.engines[0]

    @property
    def policy(self) -> dict[str, Any]:
        return {"require_signature": True, "trusted_keys": [self.keys.public], "host": ORIN}

    def file(self, suffix: str) -> Path:
        return Path(f"{self.engine}{suffix}")

    def record(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.file(".json").read_bytes())
        return document

    def load(self, **arguments: Any) -> memoryview:
        return load_engine(self.engine, **{**self.policy, **arguments})


@pytest.fixture
def signed(tmp_path: Path) -> Signed:
    keys, stranger = make_keys(tmp_path / "keys", "builder"), make_keys(tmp_path / "keys", "stranger")
    policy = SigningPolicy(require_signature=True, trusted_keys=(keys.public,), private_key=keys.private)
    engines = build(tmp_path, ORIN, ("aliked", "lightglue"), signing=policy)
    return Signed(engines, keys, stranger)


def build(
    folder: Path,
    host: HostCapabilities,
    models: tuple[str, ...] = ("aliked",),
    *,
    signing: SigningPolicy | None = None,
    options: BuildOptions | None = None,
) -> tuple[Path, ...]:
    """Have the fake runtime build engines for a host."""
    for model in models:
        (folder / f"{model}.onnx").write_bytes(onnx_bytes(model))
    request = EngineCompileRequest(
        backbones=tuple(
            BackboneSpec(model_name=model, onnx_path=folder / f"{model}.onnx", options=options or BuildOptions())
            for model in models
        ),
        cache_root=folder / "engines",
        host=host,
        signing=signing or SigningPolicy(),
    )
    results = EngineCompiler(FakeRuntime(folder / "calls.txt")).compile_engines_for_corpus(request)
    return tuple(result.entry.engine_path for result in results)


def refuse(signed: Signed, kind: type[VerificationError], **arguments: Any) -> str:
    """Load, expect this very class of error, and return its message."""
    with pytest.raises(VerificationError) as caught:
        signed.load(**arguments)
    assert type(caught.value) is kind, caught.value
    return str(caught.value)


def test_the_buffer_is_the_engine_and_cannot_be_written_to(signed: Signed) -> None:
    buffer = signed.load()
    assert buffer == signed.engine.read_bytes()
    assert buffer.readonly
    assert buffer.contiguous
    assert buffer.format == "B"


def test_the_engine_is_opened_once_and_never_mapped(signed: Signed) -> None:
    code = """
import sys
opened, mapped = [], []
def listen(event, arguments):
    if event == "open":
        opened.append(str(arguments[0]))
    elif event == "mmap.__new__" and arguments[0] != -1:  # -1 is memory, of no file
        mapped.append(arguments)
engine, key = sys.argv[1:]
import c10
from c10 import HostCapabilities, load_engine
sys.addaudithook(listen)
load_engine(engine, require_signature=True, trusted_keys=[key], host=HostCapabilities())
assert opened.count(engine) == 1, opened
assert not mapped, mapped
"""
    subprocess.run([sys.executable, "-c", code, signed.engine, signed.keys.public], check=True)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_each_bit_of_a_byte_anywhere_counts(signed: Signed, suffix: str) -> None:
    path = signed.file(suffix)
    content = path.read_bytes()
    for offset in range(0, len(content), 1 + len(content) // 500):
        flip_byte(path, offset)
        with pytest.raises(VerificationError):
            signed.load()
        flip_byte(path, offset)
    assert signed.load() == signed.engine.read_bytes()


def _accepted_sidecars(signed: Signed) -> set[bytes]:
    """Return the published forms of one digest: none of them is a mutation of what the sidecar says."""
    line = signed.file(".sha256").read_bytes()
    return {line, line[:-1], line[:64], line[:64] + b"\n"}


def _mutate(content: bytes, draw: random.Random) -> bytes:
    at, kind = draw.randrange(len(content)), draw.randrange(6)
    if kind == 0:
        return content[:at]  # truncated
    if kind == 1:
        return content[:at] + draw.randbytes(draw.randint(1, 8)) + content[at:]
    if kind == 2:
        return content[:at] + content[at + draw.randint(1, 8) :]
    if kind == 3:
        return content[:at] + bytes([content[at] ^ 1 << draw.randrange(8)]) + content[at + 1 :]
    if kind == 4:
        return content[:at] + draw.randbytes(1) + content[at + 1 :]
    other = draw.randrange(len(content))
    size = draw.randint(1, 64)
    return content[:at] + content[other : other + size] + content[at + size :]


def test_of_ten_thousand_mutations_none_is_accepted(signed: Signed) -> None:
    draw = random.Random(SEED)  # noqa: S311 - to be repeated
    contents = {suffix: signed.file(suffix).read_bytes() for suffix in SUFFIXES}
    harmless = {"": {contents[""]}, ".sha256": _accepted_sidecars(signed)}
    refused: dict[str, int] = {}
    done = 0
    while done < MUTATIONS:
        suffix = draw.choice(SUFFIXES)
        mutated = _mutate(contents[suffix], draw)
        if mutated in harmless.get(suffix, {contents[suffix]}):
            continue
        signed.file(suffix).write_bytes(mutated)
        with pytest.raises(VerificationError) as caught:
            signed.load()
        refused[type(caught.value).__name__] = refused.get(type(caught.value).__name__, 0) + 1
        signed.file(suffix).write_bytes(contents[suffix])
        done += 1
    assert sum(refused.values()) == MUTATIONS
    assert signed.load() == contents[""]
    expected = {"DigestMismatchError", "InvalidSidecarError", "InvalidRecordError", "InvalidSignatureError"}
    assert expected <= refused.keys()


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [
        ("", UnreadableEngineError),
        (".sha256", MissingSidecarError),
        (".json", MissingRecordError),
        (".dsse.json", MissingSignatureError),
    ],
)
def test_a_missing_file_has_an_error_of_its_own(signed: Signed, suffix: str, kind: type[VerificationError]) -> None:
    signed.file(suffix).unlink()
    assert str(signed.file(suffix)) in refuse(signed, kind)


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [
        ("", DigestMismatchError),
        (".sha256", InvalidSidecarError),
        (".json", InvalidRecordError),
        (".dsse.json", InvalidSignatureError),
    ],
)
@pytest.mark.parametrize("size", [0, 1, 33])
def test_a_truncated_file_is_refused(signed: Signed, suffix: str, kind: type[VerificationError], size: int) -> None:
    os.truncate(signed.file(suffix), size)
    refuse(signed, kind)


def test_the_size_is_compared_before_anything_is_read(signed: Signed) -> None:
    size = signed.engine.stat().st_size
    document = signed.record()
    document["predicate"]["runDetails"]["c10_size"] = size + 1
    signed.file(".json").write_text(json.dumps(document), "utf-8")
    words = refuse(signed, DigestMismatchError, require_signature=False, trusted_keys=[])
    assert f"expected {size + 1} bytes, got {size}" in words


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_file_of_another_engine_will_do(signed: Signed, suffix: str) -> None:
    shutil.copyfile(f"{signed.engines[1]}{suffix}", signed.file(suffix))
    kinds = {
        "": DigestMismatchError,
        ".sha256": InvalidSidecarError,
        ".json": RecordMismatchError,
        ".dsse.json": InvalidSignatureError,
    }
    refuse(signed, kinds[suffix])


def test_all_files_of_another_engine_will_not_do_either(signed: Signed) -> None:
    for suffix in SUFFIXES:
        shutil.copyfile(f"{signed.engines[1]}{suffix}", signed.file(suffix))
    digest = signed.file(".sha256").read_text("utf-8")[:64]
    signed.file(".sha256").write_text(f"{digest}  {signed.engine.name}\n", "utf-8")
    assert "that of lightglue" in refuse(signed, RecordMismatchError)


def test_two_engines_swapped_are_both_refused(signed: Signed) -> None:
    one, two = signed.engines
    content = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(content)
    for engine in (one, two):
        with pytest.raises(DigestMismatchError):
            load_engine(engine, **signed.policy)


def test_an_engine_replaced_between_verification_and_loading_is_refused(signed: Signed) -> None:
    assert Sha256Sidecar.verify(signed.engine)
    other = signed.engine.with_name("other")
    other.write_bytes(signed.engine.read_bytes()[::-1])
    other.replace(signed.engine)
    assert "expected digest" in refuse(signed, DigestMismatchError)


def during_the_first_read(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Act once the engine is open and its first bytes are read."""
    real, acts = os.readv, [act]

    def readv(descriptor: int, buffers: list[memoryview]) -> int:
        count = real(descriptor, [buffers[0][:100]])
        while acts:
            acts.pop()()
        return count

    monkeypatch.setattr(os, "readv", readv)


def test_an_engine_replaced_while_it_is_loaded_changes_nothing(signed: Signed, monkeypatch: pytest.MonkeyPatch) -> None:
    content = signed.engine.read_bytes()

    def replace_it() -> None:
        signed.engine.unlink()
        signed.engine.write_bytes(b"\0" * len(content))

    during_the_first_read(monkeypatch, replace_it)
    assert signed.load() == content


def test_an_engine_written_to_while_it_is_loaded_is_refused(signed: Signed, monkeypatch: pytest.MonkeyPatch) -> None:
    during_the_first_read(monkeypatch, lambda: flip_byte(signed.engine, 200))
    refuse(signed, DigestMismatchError)


def test_an_engine_cut_short_while_it_is_loaded_is_refused(signed: Signed, monkeypatch: pytest.MonkeyPatch) -> None:
    during_the_first_read(monkeypatch, lambda: os.truncate(signed.engine, 200))
    refuse(signed, DigestMismatchError)


def test_what_changed_after_it_was_loaded_is_not_in_the_buffer(signed: Signed) -> None:
    content = signed.engine.read_bytes()
    buffer = signed.load()
    with signed.engine.open("r+b") as file:
        file.write(b"\0" * len(content))
    os.truncate(signed.engine, 0)
    assert buffer == content


def test_what_is_no_file_is_refused_and_not_waited_for(signed: Signed) -> None:
    signed.engine.unlink()
    os.mkfifo(signed.engine)
    refuse(signed, UnreadableEngineError)
    signed.engine.unlink()
    signed.engine.mkdir()
    refuse(signed, UnreadableEngineError)


def test_a_stranger_is_refused(signed: Signed) -> None:
    signed.file(".dsse.json").unlink()
    sign_engine(signed.engine, signed.stranger.private)
    assert "expected a signature of a trusted key" in refuse(signed, UntrustedSignatureError)


def test_a_revoked_key_and_a_revoked_engine_are_refused(signed: Signed) -> None:
    assert "revoked" in refuse(signed, RevokedSignatureError, revoked=[signed.keys.keyid])
    digest = signed.file(".sha256").read_text("utf-8")[:64]
    assert "its digest" in refuse(signed, RevokedSignatureError, revoked=[digest])
    assert "its digest" in refuse(
        signed, RevokedSignatureError, revoked=[digest], require_signature=False, trusted_keys=[]
    )


def test_a_forger_of_every_file_is_refused_for_the_signature(signed: Signed) -> None:
    """Whoever may write all files can make them agree; what he cannot make is the signature."""
    content = signed.engine.read_bytes()[::-1]
    digest = Sha256Sidecar.write_atomic_and_sidecar(signed.engine, content)
    document = signed.record()
    document["subject"][0]["digest"]["sha256"] = digest
    document["predicate"]["runDetails"]["c10_pieces"]["sha256"] = [digest]  # a small engine is one piece
    signed.file(".json").write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    assert signed.load(require_signature=False, trusted_keys=[]) == content  # a digest is no signature
    refuse(signed, InvalidSignatureError)
    signed.file(".dsse.json").unlink()
    refuse(signed, MissingSignatureError)
    sign_engine(signed.engine, signed.stranger.private)
    refuse(signed, UntrustedSignatureError)


def test_an_older_engine_that_is_genuine_is_refused(signed: Signed) -> None:
    key = signed.record()["predicate"]["c10_build_key"]
    assert signed.load(expected_build_key=key) == signed.engine.read_bytes()
    assert "expected the build" in refuse(signed, BuildKeyMismatchError, expected_build_key="0" * 64)


OTHER_HOSTS = {
    "compute capability 87 → 89": {"sm": "89"},
    "SM count 16 → 8 (power mode changed?)": {"sm_count": 8},
    "GPU Orin → Orin Nano": {"device_name": "Orin Nano"},
    "TensorRT 10.3.0.26 → 10.3.1.5": {"trt_version": "10.3.1.5"},
    "TensorRT 10.3.0.26 → 10.5": {"trt": "10.5", "trt_version": None},
    "JetPack 6.2 → 6.2.1": {"jp": "6.2.1"},
    "L4T 36.4.3 → 36.4.4": {"l4t": "36.4.4"},
    "CUDA driver 12.6 → 13.0": {"cuda_driver": "13.0"},
    "machine aarch64 → x86_64": {"machine": "x86_64"},
}


@pytest.mark.parametrize("words", OTHER_HOSTS)
def test_another_host_is_refused_with_the_difference_in_words(signed: Signed, words: str) -> None:
    with pytest.raises(HostMismatchError) as caught:
        signed.load(host=replace(ORIN, **OTHER_HOSTS[words]))
    assert words in str(caught.value)
    assert any(difference.startswith(words) for difference in caught.value.differences)


@pytest.mark.parametrize(
    "host", [HostCapabilities(), HostCapabilities(sm="87"), replace(ORIN, trt="10.3", trt_version=None)]
)
def test_what_a_host_does_not_know_does_not_refuse(signed: Signed, host: HostCapabilities) -> None:
    assert signed.load(host=host) == signed.engine.read_bytes()


def test_without_a_host_this_machine_is_asked(tmp_path: Path) -> None:
    here = os.uname()
    (engine,) = build(tmp_path, HostCapabilities(sm="87", trt="10.3", os=here.sysname, machine=here.machine))
    with pytest.raises(HostMismatchError) as caught:
        load_engine(engine, host=HostCapabilities(machine="riscv64"))
    assert caught.value.differences == (f"machine {here.machine} → riscv64",)
    (foreign,) = build(tmp_path, HostCapabilities(sm="87", trt="10.4", os=here.sysname, machine="riscv64"))
    with pytest.raises(HostMismatchError, match=f"machine riscv64 → {here.machine}"):
        load_engine(foreign)


@pytest.mark.parametrize(
    ("level", "fits", "refused"),
    [
        ("ampere_plus", {"sm": "89", "sm_count": 142, "device_name": "L40"}, {"sm": "75"}),
        ("same_compute_capability", {"sm_count": 8, "device_name": "Orin Nano"}, {"sm": "89"}),
    ],
)
def test_an_engine_for_several_gpus_is_refused_by_none_of_them(
    tmp_path: Path, level: Any, fits: dict[str, Any], refused: dict[str, Any]
) -> None:
    (engine,) = build(tmp_path, ORIN, options=BuildOptions(hardware_compatibility=level))
    assert load_engine(engine, host=replace(ORIN, **fits)) == engine.read_bytes()
    with pytest.raises(HostMismatchError, match="compute capability"):
        load_engine(engine, host=replace(ORIN, **refused))


def test_a_version_compatible_engine_is_loaded_by_a_newer_tensorrt(tmp_path: Path) -> None:
    (engine,) = build(tmp_path, ORIN, options=BuildOptions(version_compatible=True))
    assert load_engine(engine, host=replace(ORIN, trt="10.13", trt_version="10.13.3.9")) == engine.read_bytes()
    for version in ("10.2.0.19", "11.0.0.1"):
        with pytest.raises(HostMismatchError, match="TensorRT"):
            load_engine(engine, host=replace(ORIN, trt_version=version))


RTX = HostCapabilities(rtx_version="1.7.1.116", os="Linux", machine="x86_64")


@pytest.mark.parametrize(
    ("host", "words"),
    [
        (RTX, None),
        (replace(RTX, sm="89", sm_count=142, device_name="L40"), None),
        (replace(RTX, sm="121"), None),
        (HostCapabilities(), None),
        (replace(RTX, sm="75"), "compute capability 80.86.89.120+ → 75"),
        (replace(RTX, sm="90"), "compute capability 80.86.89.120+ → 90"),
        (replace(RTX, rtx_version="1.7.2.1"), "TensorRT 1.7.1.116 → 1.7.2.1"),
        (replace(RTX, machine="aarch64"), "machine x86_64 → aarch64"),
    ],
)
def test_an_rtx_engine_belongs_to_its_set_of_gpus(tmp_path: Path, host: HostCapabilities, words: str | None) -> None:
    (engine,) = build(tmp_path, RTX)
    if words is None:
        assert load_engine(engine, host=host) == engine.read_bytes()
    else:
        with pytest.raises(HostMismatchError) as caught:
            load_engine(engine, host=host)
        assert words in str(caught.value)


def test_arguments_that_make_no_policy_are_told(signed: Signed) -> None:
    with pytest.raises(ConfigError, match="trusted_keys"):
        signed.load(trusted_keys=[])
    with pytest.raises(SigningError, match="expected a public key"):
        signed.load(trusted_keys=[signed.engine.with_name("none.pem")])


@pytest.mark.parametrize(
    "definition",
    [{"resolvedDependencies": []}, {"resolvedDependencies": [], "externalParameters": {"options": None}}],
)
def test_a_record_of_another_shape_is_refused(signed: Signed, definition: dict[str, Any]) -> None:
    from c10.proof.definition import build_key

    document = signed.record()
    document["predicate"]["buildDefinition"] = definition
    document["predicate"]["c10_build_key"] = build_key(definition)
    signed.file(".json").write_text(json.dumps(document), "utf-8")
    refuse(signed, InvalidRecordError, require_signature=False, trusted_keys=[])


def test_it_is_cheap_to_import(signed: Signed) -> None:
    code = """
import sys
import c10
buffer = c10.load_engine(sys.argv[1], host=c10.HostCapabilities())
assert len(buffer) > 0
heavy = {"doit", "onnx", "tensorrt", "tensorrt_rtx", "cryptography", "numpy", "rich", "tomllib", "tomli", "portalocker"}
assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()
c10.load_engine(sys.argv[1], host=c10.HostCapabilities(), require_signature=True, trusted_keys=sys.argv[2:])
assert not (heavy - {"cryptography"}) & sys.modules.keys(), heavy & sys.modules.keys()
assert "cryptography" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code, signed.engine, signed.keys.public], check=True)


def test_peak_memory_is_the_engine_and_little_more(tmp_path: Path, corpus: Corpus) -> None:
    """16 MB more than the engine's size at most, the import of cryptography and the hasher's thread included."""
    keys = make_keys(tmp_path / "keys", "builder")
    size = 200 << 20

    @dataclass(frozen=True)
    class Large:
        def compile_engine(self, onnx_path: Path, build_config: Any, output_path: Path, *, progress: Any) -> Any:
            entry = FakeRuntime(corpus.folder / "calls.txt").compile_engine(
                onnx_path, build_config, output_path, progress=progress
            )
            sha256 = Sha256Sidecar.write_atomic_and_sidecar(output_path, bytes(size))
            return replace(entry, sha256=sha256)

    policy = SigningPolicy(require_signature=True, trusted_keys=(keys.public,), private_key=keys.private)
    request = replace(request_of(corpus), signing=policy)
    request = replace(request, backbones=request.backbones[:1])
    (result,) = EngineCompiler(Large()).compile_engines_for_corpus(request)
    code = """
import sys
def peak():
    with open("/proc/self/status") as status:
        (line,) = [line for line in status if line.startswith("VmHWM:")]
    return int(line.split()[1]) << 10
from c10 import HostCapabilities, load_engine
before = peak()
buffer = load_engine(sys.argv[1], host=HostCapabilities(), require_signature=True, trusted_keys=sys.argv[2:])
print(peak() - before - len(buffer))
"""
    command = [sys.executable, "-c", code, result.entry.engine_path, keys.public]
    more = int(subprocess.run(command, check=True, capture_output=True).stdout)
    assert more <= 16 << 20


@pytest.mark.process
def test_tensorrt_takes_the_buffer_as_it_is(tmp_path: Path) -> None:
    """A real engine, compiled here; without a GPU TensorRT-RTX reads it, and then says that it finds none."""
    trt = pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")
    package = importlib.util.find_spec("onnx")
    assert package is not None
    (folder,) = package.submodule_search_locations or ()
    config = C10ProvisioningConfig(
        backbones=(
            BackboneConfig(
                model_name="squeezenet",
                onnx_path=Path(folder, "backend", "test", "data", "light", "light_squeezenet.onnx"),
                expected_input_shape=(1, 3, 224, 224),
                input_name="data_0",
            ),
        ),
        runtime="tensorrt_rtx",
        cache_root=tmp_path / "engines",
    )
    host = probe_host(gpu=False)
    request = EngineCompileRequest(backbones=build_backbone_specs(config), cache_root=config.cache_root, host=host)
    (result,) = build_engine_compiler(config).compile_engines_for_corpus(request)
    buffer = load_engine(result.entry.engine_path, host=host)
    said: list[str] = []

    class Logger(trt.ILogger):  # type: ignore[misc]
        def log(self, _: Any, message: str) -> None:
            said.append(message)

    logger = Logger()
    runtime = trt.Runtime(logger)
    engine = runtime.deserialize_cuda_engine(buffer)
    assert any(message.startswith("Loaded engine size") for message in said), said
    gpu = probe_gpu()
    assert (engine is not None) == (gpu is not None and gpu.sm in {"80", "86", "89", "120"}), said
