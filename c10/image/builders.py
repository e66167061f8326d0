"""Runs docker, podman or buildah, the programs that store container images on this machine.

Sources: the manual pages docker-load, docker-build, podman-pull, podman-build, buildah-pull and buildah-build.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Final

from c10.errors import ImageError

BUILDERS: Final = ("docker", "podman", "buildah")
CONTAINERFILE: Final = "Containerfile"
_ERROR_MAX: Final = 2000  # characters of a builder's error output

#: Arguments with which each program prints the id of an image.
_INSPECT: Final = {
    "docker": ("image", "inspect", "--format", "{{.Id}}"),
    "podman": ("image", "inspect", "--format", "{{.Id}}"),
    "buildah": ("inspect", "--type", "image", "--format", "{{.FromImageID}}"),
}


def choose_builder(wanted: str) -> str | None:
    """Return the program to use; None for "none", and for "auto" if none is usable. Raises ImageError.

    "auto" skips docker if its daemon is not running. If docker is named, its own error is reported later.
    """
    if wanted == "none":
        return None
    if wanted != "auto":
        if shutil.which(wanted) is None:
            raise ImageError(
                f"image.builder: expected the program {wanted}, found none",
                remedy='Install it, or use builder = "none" for the files alone.',
            )
        return wanted
    return next(filter(_is_usable, BUILDERS), None)


def _is_usable(builder: str) -> bool:
    if shutil.which(builder) is None:
        return False
    return builder != "docker" or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0  # noqa: S607 - as the user would


def image_id(builder: str, name: str) -> str | None:
    """Return the id of the image that has this name; None if there is none."""
    done = subprocess.run([builder, *_INSPECT[builder], name], capture_output=True, text=True, check=False)
    return done.stdout.strip().removeprefix("sha256:") or None if done.returncode == 0 else None


def import_layout(builder: str, folder: Path, name: str) -> str:
    """Import an OCI layout into a builder under a name; return the image's id. Raises ImageError."""
    if builder == "docker":
        _load(builder, folder)
    else:
        _pull(builder, folder, name)
    return _made(builder, name)


def build_on_base(builder: str, tar: Path, name: str, base: str, labels: dict[str, str]) -> str:
    """Add a tar to a base image; return the id of the new one. Raises ImageError.

    The image's time stamp is the epoch, so that the same base and engines give the same image. Of docker's two
    builders, only BuildKit honours it.
    """
    said = " ".join(f'"{key}"="{value}"' for key, value in labels.items())
    lines = [f"FROM {base}", f"ADD {tar.name} /", f"LABEL {said}"]
    containerfile = tar.with_name(CONTAINERFILE)
    containerfile.write_text("\n".join(lines) + "\n", "utf-8")
    when = ["--build-arg", "SOURCE_DATE_EPOCH=0"] if builder == "docker" else ["--timestamp", "0"]
    _run([builder, "build", *when, "--tag", name, "--file", str(containerfile), str(tar.parent)])
    return _made(builder, name)


def _made(builder: str, name: str) -> str:
    found = image_id(builder, name)
    if found is None:
        raise ImageError(f"{builder}: expected the image {name}, found none")
    return found


def _pull(builder: str, folder: Path, name: str) -> None:
    # The bare folder name, run in its parent: buildah 1.28 makes the argument a tag, and not every path is a valid tag.
    found = _run([builder, "pull", "--quiet", f"oci:{folder.name}:{name}"], folder.parent).split()[-1]
    _run([builder, "tag", found, name])
    if image_id(builder, folder.name) == found:
        _run([builder, "rmi", f"localhost/{folder.name}:latest"])


def _load(builder: str, folder: Path) -> None:
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen([builder, "load"], stdin=pipe, stdout=nothing, stderr=pipe) as load:
        if load.stdin is None or load.stderr is None:  # both are pipes
            raise ImageError("docker load: expected pipes, got none")
        try:
            with tarfile.open(fileobj=load.stdin, mode="w|") as tar:
                tar.add(folder, arcname=".")
            load.stdin.close()
        except BrokenPipeError:
            pass  # docker's error output gives the reason
        said = load.stderr.read().decode("utf-8", "replace")
    if load.returncode:
        raise ImageError(f"docker load: expected an image, got exit status {load.returncode}: {said[-_ERROR_MAX:]}")


def _run(command: list[str], folder: Path | None = None) -> str:
    # Attestations contain the build time, so no two images would be equal.
    environment = {**os.environ, "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ImageError(
            f"{' '.join(command[:2])}: expected an image, got exit status {done.returncode}: "
            f"{done.stderr.strip()[-_ERROR_MAX:]}"
        )
    return done.stdout
