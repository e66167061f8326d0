"""Export the three networks of a visual navigation stack to ONNX, with no download.

DINOv2 recognises the place, ALIKED finds keypoints, LightGlue matches them between two images. Weights
come from a checkpoint that you name; without one they are random, seeded, and good for measuring only.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import onnx
import torch
from kornia.feature import ALIKED, LightGlue
from kornia.feature.lightglue import filter_matches
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import Dinov2Config, Dinov2Model

OPSET = 18  # TensorRT 10.3's parser reads it, and LayerNormalization is one node from 17 on
PATCH, EMBEDDING = 14, 768  # ViT-B/14
EXAMPLE_LENGTH = 64  # of a free dimension while tracing
DERIVED = ("confidence_thresholds", "num_batches_tracked")  # buffers that checkpoints may leave out

Weights = dict[str, Tensor]


class ExportError(Exception):
    """What the user has to put right; the message says how."""


class PlaceDescriptor(nn.Module):
    """DINOv2: the L2-normalised class token is the global descriptor of a place."""

    def __init__(self, network: Dinov2Model, height: int, width: int) -> None:
        """Resample the position embedding to the input size now, so that the graph holds a constant."""
        super().__init__()
        self.network = network
        embeddings = network.embeddings
        tokens = torch.empty(1, (height // PATCH) * (width // PATCH) + 1, EMBEDDING)
        with torch.no_grad():
            positions = embeddings.interpolate_pos_encoding(tokens, height, width)
        embeddings.position_embeddings = nn.Parameter(positions.clone())

    def forward(self, image: Tensor) -> Tensor:
        """Describe an image normalised by ImageNet's mean and deviation: [1, 3, H, W] -> [1, 768]."""
        return normalize(self.network(image).pooler_output, dim=-1)


class Matcher(nn.Module):
    """LightGlue, all layers: no early stop and no pruning, both of which depend on the data."""

    def __init__(self, network: LightGlue) -> None:
        """Take the parts of the network that LightGlue.forward combines."""
        super().__init__()
        self.network = network

    def forward(
        self, keypoints0: Tensor, descriptors0: Tensor, keypoints1: Tensor, descriptors1: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Match keypoints (scaled to [-1, 1] by half the longer image side) of two images.

        For each keypoint of image 0: the index of its mutual best match in image 1 (int32), or -1, and
        the probability of that match. The threshold on it (kornia's is 0.1) is the caller's.
        """
        net = self.network
        x0, x1 = net.input_proj(descriptors0), net.input_proj(descriptors1)
        encoding0, encoding1 = net.posenc(keypoints0), net.posenc(keypoints1)
        for layer in net.transformers:
            x0, x1 = layer(x0, x1, encoding0, encoding1)
        assignment, _ = net.log_assignment[-1](x0, x1)
        matches0, _, scores0, _ = filter_matches(assignment, th=0.0)
        return matches0.int(), scores0


class DenseFeatures(nn.Module):
    """ALIKED's network: its keypoints are picked from the maps afterwards, outside the engine."""

    def __init__(self, network: ALIKED) -> None:
        """Take the network."""
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Map an RGB image in [0, 1] to features [1, 128, H, W] and keypoint scores [1, 1, H, W]."""
        return self.network.extract_dense_map(image)


def require(missing: list[str]) -> None:
    """Refuse a checkpoint that would leave part of the network random."""
    missing = sorted(key for key in missing if not key.endswith(DERIVED))
    if missing:
        raise ExportError(f"it lacks {len(missing)} of the network's tensors, the first is {missing[0]}")


def fill(network: nn.Module, weights: Weights | None) -> None:
    """Load weights into a network; None keeps the random ones."""
    if weights is not None:
        require(network.load_state_dict(weights, strict=False).missing_keys)


def build_dinov2(weights: Weights | None) -> nn.Module:
    """ViT-B/14 as published (position embedding for 518x518), at 322x322."""
    config = Dinov2Config(image_size=518)
    if weights is None:
        return PlaceDescriptor(Dinov2Model(config), 322, 322)
    load = cast("Any", Dinov2Model).from_pretrained  # knows the tensor names of every version
    network, info = load(None, config=config, state_dict=weights, output_loading_info=True)
    require(info["missing_keys"])
    return PlaceDescriptor(network, 322, 322)


def build_lightglue(weights: Weights | None) -> nn.Module:
    """LightGlue for ALIKED's 128-dimensional descriptors; takes the original tensor names too."""
    if weights is not None:
        old, new = r"^(?:matcher\.)?(self|cross)_attn\.(\d+)\.", r"transformers.\2.\1_attn."
        weights = {re.sub(old, new, key).removeprefix("matcher."): value for key, value in weights.items()}
    network = LightGlue(features=None, input_dim=128, flash=False)  # type: ignore[arg-type]
    fill(network, weights)
    return Matcher(network)


def build_aliked(weights: Weights | None) -> nn.Module:
    """ALIKED-N16."""
    network = ALIKED("aliked-n16")
    fill(network, weights)
    return DenseFeatures(network)


@dataclass(frozen=True)
class Network:
    """How one network is built, and the names and shapes of its inputs; a named dimension is free."""

    build: Callable[[Weights | None], nn.Module]
    inputs: dict[str, tuple[int | str, ...]]
    outputs: tuple[str, ...]


NETWORKS = {
    "dinov2_vpr": Network(build_dinov2, {"image": (1, 3, 322, 322)}, ("descriptor",)),
    "lightglue": Network(
        build_lightglue,
        {
            "keypoints0": (1, "num_keypoints0", 2),
            "descriptors0": (1, "num_keypoints0", 128),
            "keypoints1": (1, "num_keypoints1", 2),
            "descriptors1": (1, "num_keypoints1", 128),
        },
        ("matches0", "scores0"),
    ),
    "aliked": Network(build_aliked, {"image": (1, 3, 480, 640)}, ("feature_map", "score_map")),
}


def read_weights(path: Path) -> Weights:
    """Read a checkpoint (.safetensors, or torch's format without arbitrary pickles)."""
    if not path.is_file():
        raise ExportError("expected a file, found none")
    try:
        weights = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except Exception as error:  # an unpickler raises anything on a wrong file
        raise ExportError(f"expected .safetensors or what torch.save wrote, got {type(error).__name__}") from error
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise ExportError("expected a state dict, tensors by name")
    return weights


def build(network: Network, checkpoint: Path | None, seed: int) -> nn.Module:
    """Build a network ready for inference, and say what is wrong where a checkpoint does not fit."""
    torch.manual_seed(seed)
    if checkpoint is None:
        return network.build(None).eval()
    try:
        return network.build(read_weights(checkpoint)).eval()
    except (ExportError, RuntimeError) as error:  # RuntimeError: a tensor of another shape
        raise ExportError(f"{checkpoint}: not a checkpoint of this network: {error}") from error


def trace(network: Network, module: nn.Module) -> onnx.ModelProto:
    """Export a module, without the exporter's notes: they name source files of this machine."""
    shapes = network.inputs.values()
    example = tuple(torch.rand([EXAMPLE_LENGTH if isinstance(d, str) else d for d in s]) for s in shapes)
    free = [{i: torch.export.Dim(d) for i, d in enumerate(s) if isinstance(d, str)} for s in shapes]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own deprecations
        program: Any = torch.onnx.export(
            module,
            example,
            input_names=list(network.inputs),
            output_names=list(network.outputs),
            dynamic_shapes=free,
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    model: onnx.ModelProto = program.model_proto
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info):
        del part.metadata_props[:]
    return model


def write(model: onnx.ModelProto, path: Path) -> None:
    """Write a model under its name only when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        onnx.save(model, temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def export(name: str, checkpoint: Path | None, seed: int, output_dir: Path) -> Path:
    """Export one network; the file's metadata says where its weights came from."""
    network = NETWORKS[name]
    model = trace(network, build(network, checkpoint, seed))
    origin = f"random, seed {seed}"
    if checkpoint is not None:
        origin = f"sha256:{hashlib.sha256(checkpoint.read_bytes()).hexdigest()}"
    onnx.helper.set_model_props(model, {"weights": origin})
    onnx.checker.check_model(model)
    path = output_dir / f"{name}.onnx"
    write(model, path)
    return path


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("network", choices=[*NETWORKS, "all"])
    parser.add_argument("--checkpoint", type=Path, help="weights of that network (default: random)")
    parser.add_argument("--seed", type=int, default=0, help="of random weights (default: 0)")
    parser.add_argument("--output-dir", type=Path, default=Path("models"), help="default: models")
    args = parser.parse_args()
    if args.checkpoint and args.network == "all":
        parser.error("--checkpoint belongs to one network: name it instead of 'all'")
    return args


def main() -> int:
    """Export what the command line asks for."""
    args = arguments()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it misses torchvision, which nothing here needs
    try:
        for name in NETWORKS if args.network == "all" else [args.network]:
            path = export(name, args.checkpoint, args.seed, args.output_dir)
            print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
    except (ExportError, OSError) as error:
        print(f"export.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
