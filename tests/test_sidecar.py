"""The .sha256 sidecar: what is written verifies, what is damaged is refused, garbage never crashes."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest
from harness import flip_byte
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from c10.errors import InvalidSidecarError, MissingSidecarError, PublishError, VerificationError
from c10.files.sidecar import Sha256Sidecar, parse_sidecar

NAME = "dinov2_vpr__sm87_jp6.2_trt10.3_fp16.engine"
DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)
IN_A_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)


@IN_A_FOLDER
@given(st.binary(max_size=5000), st.sampled_from([bytes, bytearray, memoryview]))
def test_what_is_written_verifies(tmp_path: Path, data: bytes, kind: type) -> None:
    engine = tmp_path / NAME
    sha256 = Sha256Sidecar.write_atomic_and_sidecar(engine, kind(data))
    assert sha256 == hashlib.sha256(data).hexdigest() == Sha256Sidecar.read(engine)
    assert engine.read_bytes() == data
    assert Sha256Sidecar.path(engine).read_bytes() == f"{sha256}  {NAME}\n".encode()
    assert Sha256Sidecar.verify(engine) is True
    assert sorted(path.name for path in tmp_path.iterdir()) == [NAME, f"{NAME}.sha256"]


@IN_A_FOLDER
@given(st.binary(min_size=1, max_size=200), st.data())
def test_any_flipped_byte_of_the_engine_is_found(tmp_path: Path, data: bytes, draw: st.DataObject) -> None:
    engine = tmp_path / NAME
    Sha256Sidecar.write_atomic_and_sidecar(engine, data)
    flip_byte(engine, draw.draw(st.integers(0, len(data) - 1)))
    assert Sha256Sidecar.verify(engine) is False


@given(DIGESTS)
def test_parse_undoes_what_is_written(digest: str) -> None:
    assert parse_sidecar(f"{digest}  {NAME}\n".encode(), NAME, Path(NAME)) == digest
    assert parse_sidecar(digest.encode(), NAME, Path(NAME)) == digest  # a bare digest, as some tools write it
    assert parse_sidecar(f"{digest}\n".encode(), NAME, Path(NAME)) == digest


@given(
    st.binary(max_size=300)
    | st.builds(lambda digest, rest: digest.encode() + rest, DIGESTS, st.binary(max_size=80))
    | st.builds(lambda digest, size: f"{digest}  {NAME}\n".encode()[:size], DIGESTS, st.integers(0, 120))
)
def test_garbage_is_an_invalid_sidecar_or_the_digest_it_begins_with(garbage: bytes) -> None:
    try:
        digest = parse_sidecar(garbage, NAME, Path(NAME))
    except InvalidSidecarError as error:
        assert error.message.startswith(f"{NAME}: expected '<64 hex digits>  {NAME}', got ")  # noqa: PT017
        return
    assert garbage in {
        digest.encode(),
        f"{digest}\n".encode(),
        f"{digest}  {NAME}".encode(),
        f"{digest}  {NAME}\n".encode(),
    }


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"0" * 63,
        b"0" * 65,
        b"G" * 64,
        b"A" * 64,  # sha256sum writes lower case
        b"0" * 64 + b" " + NAME.encode(),
        b"0" * 64 + b" *" + NAME.encode(),
        b"0" * 64 + b"  another.engine\n",
        b"0" * 64 + b"  \n",
        b"0" * 64 + b"\r\n",
        b"\xff" * 64,
        b"0" * 5000,
    ],
)
def test_malformed_sidecars_raise(tmp_path: Path, content: bytes) -> None:
    engine = tmp_path / NAME
    engine.write_bytes(b"engine")
    Sha256Sidecar.path(engine).write_bytes(content)
    with pytest.raises(InvalidSidecarError):
        Sha256Sidecar.verify(engine)


def test_missing_sidecar_raises(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"engine")
    with pytest.raises(MissingSidecarError, match="expected a sidecar beside the engine, found none") as raised:
        Sha256Sidecar.verify(tmp_path / NAME)
    assert isinstance(raised.value, VerificationError)


@pytest.mark.parametrize("what", ["directory", "fifo"])
def test_a_sidecar_that_is_no_file_is_malformed(tmp_path: Path, what: str) -> None:
    path = Sha256Sidecar.path(tmp_path / NAME)
    path.mkdir() if what == "directory" else os.mkfifo(path)
    with pytest.raises(InvalidSidecarError, match=r"Is a directory|regular file"):
        Sha256Sidecar.read(tmp_path / NAME)


def test_missing_engine_is_an_oserror(tmp_path: Path) -> None:
    Sha256Sidecar.path(tmp_path / NAME).write_text("0" * 64)
    with pytest.raises(FileNotFoundError):
        Sha256Sidecar.verify(tmp_path / NAME)


def test_sha256sum_agrees(tmp_path: Path) -> None:
    Sha256Sidecar.write_atomic_and_sidecar(tmp_path / NAME, b"engine")
    check = ["sha256sum", "-c", f"{NAME}.sha256"]
    assert subprocess.run(check, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    flip_byte(tmp_path / NAME, 3)
    assert subprocess.run(check, cwd=tmp_path, capture_output=True, check=False).returncode == 1


def test_a_path_may_be_text(tmp_path: Path) -> None:
    engine = str(tmp_path / NAME)
    digest = Sha256Sidecar.write_atomic_and_sidecar(engine, b"engine")
    assert Sha256Sidecar.read(engine) == digest
    assert Sha256Sidecar.verify(engine) is True


def test_where_nothing_can_be_written_the_older_pair_stays(tmp_path: Path) -> None:
    engine = tmp_path / NAME
    Sha256Sidecar.write_atomic_and_sidecar(engine, b"old")
    Sha256Sidecar.path(engine).unlink()
    Sha256Sidecar.path(engine).mkdir()  # nothing can be renamed over it
    with pytest.raises(
        PublishError, match=r"expected to publish the file, got Is a directory\nWhat was at that path is untouched"
    ):
        Sha256Sidecar.write_atomic_and_sidecar(engine, b"new")
    assert sorted(path.name for path in tmp_path.iterdir()) == [NAME, f"{NAME}.sha256"]  # no temporary file
