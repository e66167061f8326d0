"""A model whose ONNX and external data are symbolic links, as the Hugging Face cache lays them out.

``hub/snapshots/rev1/model.onnx`` and ``model.onnx_data`` point to files in ``hub/blobs``, which are named by their
digest. git-annex, DVC, Nix and Bazel do the same. Compiled for real by TensorRT-RTX, through doit.
"""

from __future__ import annotations

import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
from harness import TWO_LINES, doit, flip_byte

from c10.files.digest import digest_file
from c10.proof.record import read_record

CASE = Path(__file__).parent / "cases" / "hf-cache"
ONNX, DATA = "hub/snapshots/rev1/model.onnx", "hub/snapshots/rev1/model.onnx_data"

pytestmark = pytest.mark.skipif(
    find_spec("tensorrt_rtx") is None, reason="TensorRT-RTX is not installed (the extra `rtx`)"
)


def link_files(folder: Path) -> None:
    """Make links of the files that hold the text of one: the case was stored without symbolic links."""
    for path in (folder / "hub/snapshots").rglob("*"):
        if path.is_file() and not path.is_symlink():
            target = path.read_text()
            path.unlink()
            path.symlink_to(target)
            assert path.is_file(), f"{path} leads nowhere"


def write_checkout(folder: Path, precision: str = "fp32") -> Path:
    shutil.copytree(CASE, folder)
    link_files(folder)
    text = (folder / "backbones.toml").read_text("utf-8").replace('"fp32"', f'"{precision}"')
    (folder / "backbones.toml").write_text(f'runtime = "tensorrt_rtx"\n{text}', "utf-8")
    (folder / "dodo.py").write_text(TWO_LINES, "utf-8")
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_checkout(tmp_path_factory.mktemp("linked") / "checkout")
    assert outcome(folder).startswith("BUILT")
    return folder


@pytest.fixture
def checkout(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "copy", symlinks=True))


def outcome(folder: Path) -> str:
    """Run doit and return the line of the one engine."""
    done = doit(folder, "engines")
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    found = re.search(r"^(BUILT|REUSED|FAILED) +hf: (.*)$", done.stdout, re.MULTILINE)
    assert found is not None, done.stdout + done.stderr
    return f"{found[1]} {found[2]}" + (done.stdout.partition(found[0])[2] if found[1] == "FAILED" else "")


def engine_of(folder: Path) -> Path:
    (path,) = (folder / "engines").glob("hf__*.engine")
    return path


def blob(folder: Path, link: str) -> Path:
    return (folder / link).resolve()


def test_it_builds_and_is_reused_and_the_record_has_the_digests_of_what_the_links_point_to(checkout: Path) -> None:
    record = read_record(Path(f"{engine_of(checkout)}.json"))
    recorded = {d["name"]: d["digest"]["sha256"] for d in record.definition["resolvedDependencies"]}
    assert recorded == {
        "external_data:model.onnx_data": digest_file(blob(checkout, DATA)).sha256,
        "onnx": digest_file(blob(checkout, ONNX)).sha256,
    }
    assert blob(checkout, DATA).name == recorded["external_data:model.onnx_data"]  # the hub names blobs so
    assert outcome(checkout).startswith("REUSED")
    assert doit(checkout, "info", "engines:hf").returncode == 0


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_engine_is_that_of_the_same_model_without_links(tmp_path: Path, precision: str) -> None:
    linked = write_checkout(tmp_path / "linked", precision)
    plain = Path(shutil.copytree(linked, tmp_path / "plain"))
    assert not (plain / DATA).is_symlink()
    assert outcome(linked).startswith("BUILT")
    assert outcome(plain).startswith("BUILT")
    assert engine_of(linked).read_bytes() == engine_of(plain).read_bytes()
    assert Path(f"{engine_of(linked)}.sha256").read_bytes() == Path(f"{engine_of(plain)}.sha256").read_bytes()


def test_one_byte_changed_in_the_blob_is_a_rebuild(checkout: Path) -> None:
    before = engine_of(checkout).read_bytes()
    flip_byte(blob(checkout, DATA), 6)
    assert re.match(r"BUILT external data model\.onnx_data changed: sha256 \w{12}… → \w{12}… \(", outcome(checkout))
    assert engine_of(checkout).read_bytes() != before
    assert outcome(checkout).startswith("REUSED")


@pytest.mark.parametrize(("link", "words"), [(ONNX, "ONNX changed"), (DATA, "external data model.onnx_data changed")])
def test_a_link_to_another_blob_is_a_rebuild_and_one_to_a_copy_is_not(checkout: Path, link: str, words: str) -> None:
    copy = checkout / "elsewhere"
    content = blob(checkout, link).read_bytes()
    copy.write_bytes(content)
    (checkout / link).unlink()
    (checkout / link).symlink_to(copy)
    assert outcome(checkout).startswith("REUSED")
    # The producer's name of the ONNX, a weight of the data.
    copy.write_bytes(content + b"\x12\x01x" if link == ONNX else content[:-1] + bytes([content[-1] ^ 1]))
    assert outcome(checkout).startswith(f"BUILT {words}: sha256 ")


def test_external_data_is_found_from_the_path_that_is_given_and_not_from_the_blob(checkout: Path) -> None:
    before = engine_of(checkout).read_bytes()
    decoy = blob(checkout, ONNX).with_name("model.onnx_data")
    decoy.write_bytes(bytes(blob(checkout, DATA).stat().st_size))
    assert outcome(checkout).startswith("REUSED")
    engine_of(checkout).unlink()
    assert outcome(checkout).startswith("BUILT")
    assert engine_of(checkout).read_bytes() == before


def test_a_link_that_leads_nowhere_fails_and_names_the_file(checkout: Path) -> None:
    blob(checkout, DATA).unlink()
    said = outcome(checkout)
    assert said.startswith("FAILED")
    assert f"{DATA}: expected a readable file, got No such file or directory" in said
