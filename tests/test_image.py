"""`doit image`: the engines as an image and as plain files, the same for the same engines."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_runtime import planned
from harness import DODO, TESTS, Corpus, flip_byte, snapshot
from pem_keys import make_keys

from c10 import DigestMismatchError, HostCapabilities, ImageError, SigningPolicy, VerificationError, load_engine
from c10.building.targets import corpus_targets
from c10.files.naming import EnginePaths
from c10.image import builders
from c10.image.contents import collect, write_tar
from c10.proof.verdict import Verdict, check_bytes

IMAGE_DODO = (
    DODO
    + '''

def task_image():
    """Image of the engines"""
    from c10.image.task import image_task

    host, runtime = planned()
    return image_task("backbones.toml", host=host, runtime=runtime)
'''
)

needs_buildah = pytest.mark.skipif(shutil.which("buildah") is None, reason="buildah is not installed")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="buildah's chroot isolation needs root here")


@pytest.fixture
def checkout(corpus: Corpus) -> Corpus:
    """Return a corpus whose dodo.py has both tasks; no builder is called."""
    corpus.dodo = IMAGE_DODO
    corpus.settings["image.builder"] = "none"
    return corpus.write()


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give buildah a storage of its own, which needs no kernel module and no network."""
    configuration = tmp_path / "storage.conf"
    configuration.write_text(
        f'[storage]\ndriver = "vfs"\ngraphroot = "{tmp_path}/storage"\nrunroot = "{tmp_path}/run"\n', "utf-8"
    )
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(configuration))
    monkeypatch.setenv("BUILDAH_ISOLATION", "chroot")
    return configuration


def image(checkout: Corpus, *options: str) -> dict[str, Any]:
    """Run `doit image` and return what it says it made."""
    done = checkout.doit(*options, "image")
    assert done.returncode == 0, done.stdout + done.stderr
    summary: dict[str, Any] = json.loads((checkout.folder / "image" / "image.json").read_bytes())
    return summary


def does_nothing(checkout: Corpus) -> bool:
    """Whether `doit image` finds its work done, and leaves every file as it is."""
    before = snapshot(checkout.folder / "image"), snapshot(checkout.engines)
    done = checkout.doit("image")
    assert done.returncode == 0, done.stdout + done.stderr
    assert before == (snapshot(checkout.folder / "image"), snapshot(checkout.engines)) or "-- image" not in done.stdout
    return "-- image" in done.stdout


def buildah(*arguments: str, cwd: Path | None = None) -> str:
    return subprocess.run(["buildah", *arguments], check=True, capture_output=True, text=True, cwd=cwd).stdout.strip()


def unpack(tar: Path, folder: Path) -> Path:
    """Unpack with the system's tar, as somebody without c10 would."""
    folder.mkdir()
    subprocess.run(["tar", "-xf", tar, "-C", folder], check=True)
    return folder / "engines"


def verify(folder: Path) -> None:
    """Check unpacked engines with sha256sum, and with c10 as the process that loads them does."""
    sidecars = sorted(path.name for path in folder.glob("*.sha256"))
    assert len(sidecars) == 3
    subprocess.run(["sha256sum", "-c", *sidecars], cwd=folder, check=True, capture_output=True)
    listed = json.loads((folder / "manifest.json").read_bytes())["engines"]
    assert [f"{engine['name']}.sha256" for engine in listed] == sidecars
    for engine in listed:
        buffer = load_engine(folder / engine["name"], host=HostCapabilities(), expected_build_key=engine["build_key"])
        assert hashlib.sha256(buffer).hexdigest() == engine["sha256"]
        assert len(buffer) == engine["size"]


def test_the_task_builds_the_engines_and_then_has_nothing_to_do(checkout: Corpus) -> None:
    made = image(checkout)
    assert sorted(checkout.calls()) == sorted(checkout.models)
    assert [engine["model_name"] for engine in made["engines"]] == sorted(checkout.models)
    assert does_nothing(checkout)
    assert sorted(checkout.calls()) == sorted(checkout.models)


def test_the_plain_files_verify_elsewhere(checkout: Corpus, tmp_path: Path) -> None:
    image(checkout)
    folder = unpack(checkout.folder / "image" / "engines.tar", tmp_path / "elsewhere")
    verify(folder)
    for path in checkout.engines.glob("*.engine*"):
        assert (folder / path.name).read_bytes() == path.read_bytes()


def test_the_same_engines_give_the_same_image_anywhere_and_at_any_time(checkout: Corpus, tmp_path: Path) -> None:
    first = image(checkout)
    tar = (checkout.folder / "image" / "engines.tar").read_bytes()
    other = Corpus(tmp_path / "other", settings=dict(checkout.settings), dodo=IMAGE_DODO).write()
    shutil.copytree(checkout.engines, other.engines)
    for path in other.engines.iterdir():
        os.utime(path, (1, 1))
        path.chmod(0o600 if path.is_file() else 0o700)
    second = image(other)
    assert second["digest"] == first["digest"]
    assert (other.folder / "image" / "engines.tar").read_bytes() == tar
    assert other.calls() == []


def test_a_changed_backbone_gives_another_image(checkout: Corpus) -> None:
    first = image(checkout)
    checkout.onnx("aliked").write_bytes(checkout.onnx("lightglue").read_bytes())
    second = image(checkout)
    assert second["digest"] != first["digest"]
    assert second["labels"]["c10.corpus.digest"] != first["labels"]["c10.corpus.digest"]
    assert sorted(checkout.calls()) == sorted([*checkout.models, "aliked"])


def test_engines_built_anew_from_the_same_are_the_same_corpus(checkout: Corpus) -> None:
    """Their records tell of another build, so the image is another; what it is worth is not."""
    first = image(checkout)
    assert checkout.doit("-a", "engines").returncode == 0
    second = image(checkout)
    assert second["digest"] != first["digest"]
    assert second["labels"] == first["labels"]


@pytest.mark.parametrize("change", ["name", "output", "removed"])
def test_what_is_asked_for_otherwise_is_made_anew(checkout: Corpus, change: str) -> None:
    first = image(checkout)
    if change == "removed":
        shutil.rmtree(checkout.folder / "image")
    else:
        checkout.settings[f"image.{change}"] = {"name": "robots/engines:1.2", "output": "elsewhere"}[change]
        checkout.write()
    done = checkout.doit("image")
    assert "-- image" not in done.stdout
    folder = checkout.folder / ("elsewhere" if change == "output" else "image")
    assert json.loads((folder / "image.json").read_bytes())["digest"] == first["digest"]


def test_the_labels_say_what_the_engines_are_for(checkout: Corpus) -> None:
    made = image(checkout)
    labels = made["labels"]
    assert (labels["c10.sm"], labels["c10.jetpack"], labels["c10.tensorrt"]) == ("87", "6.2", "trt10.3")
    layout = checkout.folder / "image" / "c10-oci"
    (described,) = json.loads((layout / "index.json").read_bytes())["manifests"]
    manifest = json.loads(blob(layout, described["digest"]))
    assert json.loads(blob(layout, manifest["config"]["digest"]))["config"]["Labels"] == labels


def blob(layout: Path, digest: str) -> bytes:
    """Return a blob, which is named after what it holds."""
    content = layout.joinpath("blobs", *digest.split(":")).read_bytes()
    assert f"sha256:{hashlib.sha256(content).hexdigest()}" == digest
    return content


def test_the_layout_is_whole(checkout: Corpus) -> None:
    made = image(checkout)
    layout = checkout.folder / "image" / "c10-oci"
    assert json.loads((layout / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    (described,) = json.loads((layout / "index.json").read_bytes())["manifests"]
    assert described["digest"] == made["digest"]
    manifest = json.loads(blob(layout, made["digest"]))
    for part in (manifest["config"], *manifest["layers"]):
        assert len(blob(layout, part["digest"])) == part["size"]
    (diff,) = json.loads(blob(layout, manifest["config"]["digest"]))["rootfs"]["diff_ids"]
    assert diff == manifest["layers"][0]["digest"]  # a plain tar: both name the same bytes
    (docker,) = json.loads((layout / "manifest.json").read_bytes())
    assert docker["RepoTags"] == ["c10-engines:latest"]
    assert all((layout / path).is_file() for path in (docker["Config"], *docker["Layers"]))
    assert len(list((layout / "blobs" / "sha256").iterdir())) == 3


def test_nobody_owns_the_files_and_no_time_is_on_them(checkout: Corpus) -> None:
    image(checkout)
    with tarfile.open(checkout.folder / "image" / "engines.tar") as tar:
        entries = tar.getmembers()
    assert {(e.uid, e.gid, e.uname, e.gname, e.mtime) for e in entries} == {(0, 0, "", "", 0)}
    assert {e.mode for e in entries if e.isfile()} == {0o644}
    assert len(entries) == 1 + 3 * 3 + 1


def test_the_image_never_touches_an_engine(checkout: Corpus) -> None:
    assert checkout.doit("engines").returncode == 0
    before = snapshot(checkout.engines)
    image(checkout)
    assert checkout.doit("clean", "image").returncode == 0
    assert snapshot(checkout.engines) == before
    assert list((checkout.folder / "image").iterdir()) == []


def test_signatures_go_into_the_image(checkout: Corpus, tmp_path: Path) -> None:
    keys = make_keys(tmp_path / "keys", "builder")
    checkout.settings |= {
        "signing.require_signature": True,
        "signing.trusted_keys": [str(keys.public)],
        "signing.private_key": str(keys.private),
    }
    made = image(checkout.write())
    assert all(engine["signed"] for engine in made["engines"])
    folder = unpack(checkout.folder / "image" / "engines.tar", tmp_path / "elsewhere")
    for engine in made["engines"]:
        load_engine(
            folder / engine["name"], host=HostCapabilities(), require_signature=True, trusted_keys=[keys.public]
        )
    assert does_nothing(checkout)


def test_only_engines_that_are_proved_are_packed(
    checkout: Corpus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert checkout.doit("engines").returncode == 0
    monkeypatch.chdir(checkout.folder)
    host, runtime = planned()
    targets = corpus_targets("backbones.toml", host=host, runtime=runtime)
    contents = collect(targets)
    flip_byte(checkout.engine("lightglue"))
    with pytest.raises(DigestMismatchError, match="lightglue"):
        write_tar(contents, tmp_path / "engines.tar")
    with pytest.raises(VerificationError, match="digest_mismatch"):
        collect(targets)
    flip_byte(checkout.engine("lightglue"))
    keys = make_keys(tmp_path / "keys", "builder")
    policy = SigningPolicy(require_signature=True, trusted_keys=(keys.public,))
    with pytest.raises(VerificationError, match="signature_missing"):
        collect([replace(target, signing=policy) for target in targets])
    assert list(tmp_path.glob("*engines.tar*")) == []


def test_what_is_packed_is_what_was_judged(checkout: Corpus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Another build that publishes while the image is made: its record is of no engine in it."""
    assert checkout.doit("engines").returncode == 0
    monkeypatch.chdir(checkout.folder)
    host, runtime = planned()
    targets = corpus_targets("backbones.toml", host=host, runtime=runtime)
    record = EnginePaths.of(checkout.engine("aliked")).record
    judged = record.read_bytes()
    contents = collect(targets)
    record.write_bytes(b"of another build")
    write_tar(contents, tmp_path / "engines.tar")
    assert (unpack(tmp_path / "engines.tar", tmp_path / "elsewhere") / record.name).read_bytes() == judged

    def check_and_change(*arguments: Any, **options: Any) -> Verdict:
        record.write_bytes(judged)
        verdict = check_bytes(*arguments, **options)
        record.write_bytes(b"of another build")
        return verdict

    record.write_bytes(judged)
    monkeypatch.setattr("c10.image.contents.check_bytes", check_and_change)
    with pytest.raises(VerificationError, match="got a change while they were checked"):
        collect(targets)


def test_a_builder_that_is_not_there_is_told(checkout: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(checkout.folder))
    with pytest.raises(ImageError, match="expected the program podman, found none"):
        builders.choose_builder("podman")
    assert builders.choose_builder("auto") is None
    assert builders.choose_builder("none") is None
    checkout.settings |= {"image.builder": "auto", "image.base": "debian"}
    done = checkout.write().doit("image")
    assert done.returncode == 1
    assert "expected docker, podman or buildah to add to 'debian', found none" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_builder_that_fails_says_why_and_the_task_fails(
    checkout: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "programs" / "docker"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\ncat >/dev/null\necho 'no daemon today' >&2\nexit 1\n", "utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    checkout.settings["image.builder"] = "docker"
    done = checkout.write().doit("image")
    assert done.returncode == 1
    assert "no daemon today" in done.stdout
    assert not (checkout.folder / "image" / "image.json").exists()
    assert builders.choose_builder("auto") != "docker"


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("builder", "kaniko", "image.builder: expected one of auto, docker, podman, buildah, none, got 'kaniko'"),
        ("name", "Robots Engines", "image.name: expected an image name"),
        ("base", "debian", 'image.base: expected "scratch", because builder = "none" cannot add to an image'),
        ("bass", "x", "image.bass: expected one of base, builder, name, output, got unknown key 'bass'"),
    ],
)
def test_configuration_that_makes_no_image_is_told(checkout: Corpus, key: str, value: str, words: str) -> None:
    checkout.settings[f"image.{key}"] = value
    done = checkout.write().doit("image")
    assert done.returncode != 0
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_the_shipped_task_goes_into_any_dodo(corpus: Corpus) -> None:
    corpus.dodo = "from c10.tasks import DOIT_CONFIG, task_engines, task_image\n"
    corpus.settings |= {"image.builder": "none", "runtime": "tensorrt_rtx"}
    done = corpus.write().doit("list", "--all")
    assert done.returncode == 0, done.stderr
    assert "image" in done.stdout
    assert "engines:aliked" in done.stdout


@pytest.mark.root
@needs_buildah
@needs_root
@pytest.mark.usefixtures("storage")
class TestBuildah:
    """The real program, with a storage of its own."""

    @pytest.fixture(autouse=True)
    def _use_buildah(self, checkout: Corpus) -> None:
        checkout.settings |= {"image.builder": "buildah", "image.name": "robots/engines:1"}
        checkout.write()

    def test_twice_gives_one_digest_and_the_image_verifies_elsewhere(self, checkout: Corpus, tmp_path: Path) -> None:
        first = image(checkout)
        assert buildah("images", "--format", "{{.Name}}:{{.Tag}}") == "localhost/robots/engines:1"
        assert does_nothing(checkout)
        shutil.rmtree(checkout.folder / "image")
        second = image(checkout)
        assert (second["digest"], second["id"]) == (first["digest"], first["id"])
        container = buildah("from", "--pull-never", "robots/engines:1")
        copied = tmp_path / "unpacked"
        shutil.copytree(Path(buildah("mount", container)), copied)
        verify(copied / "engines")
        inspected = json.loads(buildah("inspect", "--type", "image", "robots/engines:1"))
        assert inspected["FromImageDigest"] == first["digest"]
        assert inspected["OCIv1"]["config"]["Labels"] == first["labels"]

    def test_a_changed_backbone_is_another_image(self, checkout: Corpus) -> None:
        first = image(checkout)
        checkout.onnx("aliked").write_bytes(checkout.onnx("lightglue").read_bytes())
        second = image(checkout)
        assert second["digest"] != first["digest"]
        assert second["id"] == builders.image_id("buildah", "robots/engines:1") != first["id"]

    def test_an_image_that_the_builder_lost_is_made_again(self, checkout: Corpus) -> None:
        first = image(checkout)
        buildah("rmi", "robots/engines:1")
        assert not does_nothing(checkout)
        assert image(checkout)["digest"] == first["digest"]
        assert builders.image_id("buildah", "robots/engines:1") == first["id"]

    def test_engines_are_added_to_a_base(self, checkout: Corpus, tmp_path: Path) -> None:
        base = tmp_path / "base"
        (base / "opt").mkdir(parents=True)
        (base / "opt" / "navigation").write_text("the application\n", "utf-8")
        (base / "Containerfile").write_text("FROM scratch\nCOPY opt /opt\n", "utf-8")
        buildah("build", "--timestamp", "0", "-t", "navigation", str(base))
        checkout.settings["image.base"] = "localhost/navigation"
        checkout.write()
        first = image(checkout)
        assert does_nothing(checkout)
        shutil.rmtree(checkout.folder / "image")
        buildah("rmi", "robots/engines:1")
        assert image(checkout)["digest"] == first["digest"]
        root = Path(buildah("mount", buildah("from", "--pull-never", "robots/engines:1")))
        assert (root / "opt" / "navigation").is_file()
        shutil.copytree(root / "engines", tmp_path / "unpacked")
        verify(tmp_path / "unpacked")

    def test_the_recipe_that_copies_engines_works(self, checkout: Corpus, tmp_path: Path) -> None:
        image(checkout)
        recipe = TESTS.parent / "examples" / "jetson_image" / "Dockerfile.prebuilt"
        base = tmp_path / "base"
        base.mkdir()
        (base / "Containerfile").write_text("FROM scratch\nCOPY Containerfile /etc/os-release\n", "utf-8")
        buildah("build", "-t", "navigation", str(base))
        context = tmp_path / "context"
        context.mkdir()
        arguments = ["--build-arg", "BASE=localhost/navigation", "--build-arg", "ENGINES=localhost/robots/engines:1"]
        buildah("build", *arguments, "-t", "flown", "--file", str(recipe), str(context))
        root = Path(buildah("mount", buildah("from", "--pull-never", "flown")))
        verify(root / "opt" / "navigation" / "engines")


def test_the_units_of_the_recipe_are_what_systemd_understands(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    folder = TESTS.parent / "examples" / "jetson_image"
    for unit in folder.glob("*.service"):
        # Programs that are here: systemd refuses a unit whose program is missing.
        text = re.sub(r"^ExecStart=\S+", f"ExecStart={sys.executable}", unit.read_text("utf-8"), flags=re.MULTILINE)
        (tmp_path / unit.name).write_text(text, "utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", *map(str, tmp_path.glob("*.service"))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_flipping_a_byte_of_an_engine_rebuilds_it_and_restores_the_image(checkout: Corpus) -> None:
    image(checkout)
    flip_byte(checkout.engine("aliked"))
    again = image(checkout)
    assert sorted(checkout.calls()) == sorted([*checkout.models, "aliked"])
    assert again["engines"][0]["sha256"] == hashlib.sha256(checkout.engine("aliked").read_bytes()).hexdigest()
