"""The doit task ``image``: packs the engines that a corpus needs on this host, as an image and as plain files.

It writes into ``[image] output``::

    engines.tar   the files, for hosts without containers: tar -x creates engines/
    c10-oci/      an OCI image, if no base is configured; its digest depends only on engines, labels and machine
    image.json    names, digests and labels of the result; written last
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any, Final

from doit.exceptions import InvalidTask, TaskFailed

from c10.building.targets import corpus_targets
from c10.corpus.config import DEFAULT_CONFIG, C10ProvisioningConfig, ImageConfig
from c10.corpus.target import EngineTarget
from c10.errors import C10Error
from c10.files.publish import publish
from c10.host import HostCapabilities
from c10.runtimes.protocol import CompileEngineCallable

TAR: Final = "engines.tar"
LAYOUT: Final = "c10-oci"
SUMMARY: Final = "image.json"
_SCRATCH: Final = "scratch"


def image_task(
    config: str | Path | C10ProvisioningConfig = DEFAULT_CONFIG,
    *,
    host: HostCapabilities | None = None,
    runtime: CompileEngineCallable | None = None,
) -> dict[str, Any]:
    """Return the doit task that builds the image; ``host`` and ``runtime`` are as in ``engine_tasks``.

    It depends on the task ``engines`` and on the engines' files.
    """
    try:
        if not isinstance(config, C10ProvisioningConfig):
            config = C10ProvisioningConfig.load(config)
        targets = corpus_targets(config, host=host, runtime=runtime, warn=False)
    except C10Error as error:
        raise InvalidTask(str(error)) from error
    image = config.image
    return {
        "basename": "image",
        "doc": f"image {image.name} of the engines → {image.output}",
        "task_dep": ["engines"],
        "file_dep": [str(path) for target in targets for path in target.files()],
        "targets": [str(image.output / TAR), str(image.output / SUMMARY)],
        "uptodate": [ImageUpToDate(image)],
        "actions": [(make_image, [image, targets])],
        "clean": [(clean_image, [image])],
        "verbosity": 2,
    }


class ImageUpToDate:
    """Item of the task's ``uptodate``: whether the image is as configured, and its builder still has it."""

    def __init__(self, image: ImageConfig) -> None:
        self._image = image

    def __call__(self) -> bool:
        """Return whether the image is up to date apart from the engines, which are in ``file_dep``."""
        from c10.image.builders import choose_builder, image_id  # not needed to list tasks

        try:
            made = json.loads((self._image.output / SUMMARY).read_bytes())
            builder = choose_builder(self._image.builder)
            same = made["image"] == self._image.name and made["base"] == self._image.base and made["builder"] == builder
            return bool(same and (builder is None or image_id(builder, self._image.name) == made["id"]))
        except (OSError, ValueError, KeyError, TypeError, C10Error):
            return False

    def __repr__(self) -> str:
        return f"the image {self._image.name} as it is configured"


def make_image(image: ImageConfig, targets: list[EngineTarget]) -> Any:
    """Doit's action: write the files, and import the image into the builder if there is one.

    Returns None, or doit's TaskFailed with the error.
    """
    try:
        made = _make(image, targets)
    except C10Error as error:
        return TaskFailed(str(error))
    except OSError as error:
        return TaskFailed(f"{image.output}: image: expected to write it, got {error}")
    where = f"in {made['builder']}" if made["builder"] else f"as files alone: {image.output}"
    sys.stdout.write(f"image {image.name} {made['digest']} of {len(targets)} engines, {where}\n")
    return None


def clean_image(image: ImageConfig) -> None:
    """Remove the files that the task wrote. The builder's image stays, because other users may need it."""
    from c10.image.builders import CONTAINERFILE

    shutil.rmtree(image.output / LAYOUT, ignore_errors=True)
    for name in (SUMMARY, TAR, CONTAINERFILE):
        (image.output / name).unlink(missing_ok=True)


def _make(image: ImageConfig, targets: list[EngineTarget]) -> dict[str, Any]:
    from c10.image.builders import build_on_base, choose_builder, import_layout
    from c10.image.contents import collect, write_tar
    from c10.image.layout import write_layout

    builder = choose_builder(image.builder)
    if builder is None and image.base != _SCRATCH:
        raise C10Error(f"image.base: expected docker, podman or buildah to add to {image.base!r}, found none")
    contents = collect(targets)
    clean_image(image)
    tar, folder = write_tar(contents, image.output / TAR), image.output / LAYOUT
    if image.base == _SCRATCH:
        machine = next((target.host.machine for target in targets if target.host.machine), "unknown")
        digest = write_layout(folder, tar, name=image.name, machine=machine, labels=contents.labels).digest
        found = import_layout(builder, folder, image.name) if builder else None
    else:
        found = build_on_base(str(builder), tar.path, image.name, image.base, contents.labels)
        digest = f"sha256:{found}"
    made = {"image": image.name, "base": image.base, "builder": builder, "digest": digest, "id": found}
    summary = {**made, "labels": contents.labels, "engines": list(contents.engines)}
    publish(image.output / SUMMARY, json.dumps(summary, indent=2).encode() + b"\n")
    return made
