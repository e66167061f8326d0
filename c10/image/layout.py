"""Writes an OCI image layout, a directory, whose only layer is one tar.

https://github.com/opencontainers/image-spec/blob/main/image-layout.md. The bytes do not depend on time or
machine, so the digest is known before a builder imports the image. `docker load` reads manifest.json.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from c10.files.publish import StagedFile

_EPOCH: Final = "1970-01-01T00:00:00Z"
_ARCHITECTURES: Final = {"aarch64": "arm64", "x86_64": "amd64"}  # Go's names, as the specification asks
_MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
_CONFIG_TYPE: Final = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE: Final = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True, slots=True)
class OciLayout:
    """An OCI image layout on disk."""

    folder: Path
    """Its directory."""
    digest: str
    """Of its manifest: ``sha256:`` and 64 hex digits."""


def write_layout(folder: Path, layer: StagedFile, *, name: str, machine: str, labels: dict[str, str]) -> OciLayout:
    """Write the image, replacing ``folder``; its layer is a hard link to the tar, or a copy. Raises OSError."""
    shutil.rmtree(folder, ignore_errors=True)
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    _link(layer.path, blobs / layer.sha256)
    config = _blob(blobs, _CONFIG_TYPE, _config(layer.sha256, machine, labels))
    layers = [{"mediaType": _LAYER_TYPE, "digest": f"sha256:{layer.sha256}", "size": layer.size}]
    manifest = {"schemaVersion": 2, "mediaType": _MANIFEST_TYPE, "config": config, "layers": layers}
    described = _blob(blobs, _MANIFEST_TYPE, manifest)
    named = {**described, "annotations": {"org.opencontainers.image.ref.name": name}}
    _write(folder / "index.json", {"schemaVersion": 2, "manifests": [named]})
    _write(folder / "oci-layout", {"imageLayoutVersion": "1.0.0"})
    docker = {"Config": _path(config), "RepoTags": [_tagged(name)], "Layers": [_path(layers[0])]}
    _write(folder / "manifest.json", [docker])
    return OciLayout(folder, described["digest"])


def _config(layer: str, machine: str, labels: dict[str, str]) -> dict[str, Any]:
    return {
        "created": _EPOCH,
        "architecture": _ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "config": {"Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer}"]},
        "history": [{"created": _EPOCH, "created_by": "c10 image"}],
    }


def _blob(blobs: Path, media_type: str, content: dict[str, Any]) -> dict[str, Any]:
    """Write a blob and return its descriptor."""
    data = _json(content)
    digest = hashlib.sha256(data).hexdigest()
    (blobs / digest).write_bytes(data)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}


def _tagged(name: str) -> str:
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def _path(descriptor: dict[str, Any]) -> str:
    return f"blobs/{descriptor['digest'].replace(':', '/')}"


def _write(path: Path, content: Any) -> None:
    path.write_bytes(_json(content))


def _json(content: Any) -> bytes:
    return json.dumps(content, separators=(",", ":"), sort_keys=True).encode()


def _link(source: Path, path: Path) -> None:
    try:
        os.link(source, path)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, path)
