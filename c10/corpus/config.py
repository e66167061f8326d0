"""backbones.toml → C10ProvisioningConfig → BackboneSpec.

One error reports every problem of a file. Paths in the file are relative to its folder.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from c10.corpus.build_options import REPLACED_KEYS, build_options, check_options
from c10.corpus.runtimes import RUNTIME_WORDS, RuntimeChoice
from c10.corpus.spec import (
    DEFAULT_INPUT_NAME,
    DEFAULT_PRECISION,
    DEFAULT_WORKSPACE_MB,
    BackboneSpec,
    OptimizationProfile,
    Precision,
    Shape,
    ShapeRange,
)
from c10.corpus.target import PLACEHOLDER, PLACEHOLDERS
from c10.corpus.toml_table import Problems, Table
from c10.errors import ConfigError
from c10.files.digest import open_regular
from c10.files.naming import MODEL_NAME_MAX, PRECISIONS, is_model_name
from c10.files.remedies import to_read
from c10.signing.policy import SigningPolicy, is_revocable

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEFAULT_CONFIG: Final = "backbones.toml"
_BUILDERS: Final = ("auto", "docker", "podman", "buildah", "none")
#: Host, path and tag as docker, podman and buildah accept them. A digest is not accepted: it cannot be chosen.
_IMAGE_NAME: Final = re.compile(r"[a-z0-9]+(?:[._:/-]+[a-z0-9]+)*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneConfig(BackboneSpec):
    """One ``[[backbones]]`` table; its fields are those of BackboneSpec. Raises ConfigError for invalid values."""

    def __post_init__(self) -> None:
        BackboneSpec.__post_init__(self)
        refuse_invalid_backbone(self, "BackboneConfig")

    def to_spec(self) -> BackboneSpec:
        """Return the same values as a request to the compiler."""
        return BackboneSpec(**{f.name: getattr(self, f.name) for f in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """The ``[image]`` table: the container image that ``doit image`` makes of the engines."""

    name: str = "c10-engines"
    """The image's name, with a tag or without."""
    builder: str = "auto"
    """``docker``, ``podman``, ``buildah``, ``none`` (only write the files), or ``auto`` (the first that is usable)."""
    base: str = "scratch"
    """The image to which the engines are added; ``scratch`` for none."""
    output: Path = Path("image")
    """The folder in which the files are written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class C10ProvisioningConfig:
    """A whole backbones.toml. The defaults are those of the file."""

    backbones: tuple[BackboneConfig, ...] = ()
    """The networks, in the order of the file."""
    cache_root: Path = Path("engines")
    """The directory of the engines; it may contain ``{device}`` and ``{sm_count}``."""
    runtime: RuntimeChoice = "auto"
    """Which TensorRT builds; ``auto`` decides by the machine."""
    precision: Precision = DEFAULT_PRECISION
    """The precision of backbones that do not set one."""
    workspace_mb: int = DEFAULT_WORKSPACE_MB
    """TensorRT's workspace limit in MiB, for backbones that do not set one."""
    jetpack: str | None = None
    """The JetPack version, for a container in which it cannot be detected; None to detect it."""
    image: ImageConfig = field(default_factory=ImageConfig)
    """The ``[image]`` table."""
    signing: SigningPolicy = field(default_factory=SigningPolicy)
    """The ``[signing]`` table."""

    @classmethod
    def load(cls, path: str | Path) -> C10ProvisioningConfig:
        """Read and check a file. Raises ConfigError with every problem in it."""
        path = Path(path)
        try:
            with open(open_regular(path), "rb") as file:  # noqa: PTH123 - a descriptor, not a path
                document = tomllib.loads(file.read().decode("utf-8"))
        except OSError as error:
            raise ConfigError(
                f"{path}: expected a configuration, got {error.strerror or error}",
                remedy=to_read(error, "The README shows a backbones.toml to start from."),
            ) from error
        except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, a number beyond Python's limit
            raise ConfigError(f"{path}: expected TOML, got {type(error).__name__}: {error}") from error
        return cls.from_mapping(document, where=str(path), folder=path.parent)

    @classmethod
    def from_mapping(
        cls, document: Mapping[str, Any], *, where: str = "configuration", folder: Path = Path()
    ) -> C10ProvisioningConfig:
        """Check a parsed document; paths in it are relative to ``folder``. Raises ConfigError."""
        problems = Problems(where)
        table = Table(document, problems, folder=folder)
        precision: Precision = table.choice("precision", PRECISIONS, DEFAULT_PRECISION)
        config = cls(
            backbones=tuple(b for t in table.tables("backbones") if (b := _backbone(t, precision)) is not None),
            cache_root=_cache_root(table, folder),
            runtime=table.choice("runtime", RUNTIME_WORDS, "auto"),
            precision=precision,
            workspace_mb=table.positive("workspace_mb", DEFAULT_WORKSPACE_MB),
            jetpack=table.text("jetpack", None),
            image=_image(table.table("image"), folder),
            signing=_signing(table.table("signing")),
        )
        table.refuse_unknown()
        counts = Counter(backbone.model_name for backbone in config.backbones)
        for name in (name for name, count in counts.items() if count > 1):
            problems.add("backbones", "model_name: expected each name once", f"{name!r} {counts[name]} times")
        problems.raise_any()
        return config


def build_backbone_specs(config: C10ProvisioningConfig) -> tuple[BackboneSpec, ...]:
    """Return one request to the compiler for each backbone, in order."""
    return tuple(backbone.to_spec() for backbone in config.backbones)


def refuse_invalid_backbone(
    backbone: BackboneConfig | BackboneSpec, where: str, precision: Precision | None = None
) -> None:
    """Raise ConfigError with every problem of a backbone that was made in Python.

    ``where``: what the messages begin with. ``precision``: the precision of the request, for a backbone that sets none;
    None if it is not known.
    """
    problems = Problems(where)
    _check_model_name(backbone.model_name, "model_name", problems)
    if not backbone.input_name:
        problems.add("input_name", "expected a non-empty string", repr(backbone.input_name))
    if backbone.expected_input_shape is not None:
        _check_shape(backbone.expected_input_shape, "expected_input_shape", problems)
    if backbone.workspace_mb is not None and backbone.workspace_mb <= 0:
        problems.add("workspace_mb", "expected a positive int", repr(backbone.workspace_mb))
    if backbone.precision not in {None, *PRECISIONS}:
        problems.add("precision", f"expected one of {', '.join(PRECISIONS)}", repr(backbone.precision))
    check_options(backbone.options, backbone.precision or precision, problems)
    problems.raise_any()


def _backbone(table: Table, file_precision: Precision) -> BackboneConfig | None:
    before = table.problems.count
    name = table.required_text("model_name")
    if name is not None:
        _check_model_name(name, table.at("model_name"), table.problems)
    onnx_path = table.required_path("onnx_path")
    shape = table.positive_ints("expected_input_shape")
    input_name = table.text("input_name", DEFAULT_INPUT_NAME)
    profiles = _profiles(table)
    if shape is not None and profiles:
        table.problems.add(
            table.at("expected_input_shape"), "expected one of expected_input_shape, inputs and profiles", "several"
        )
    precision = table.choice("precision", PRECISIONS, None)
    workspace_mb = table.positive("workspace_mb", None)
    options = build_options(table, precision or file_precision)
    table.refuse_unknown(REPLACED_KEYS)
    if table.problems.count > before or name is None or onnx_path is None:
        return None
    return BackboneConfig(
        model_name=name,
        onnx_path=onnx_path,
        expected_input_shape=shape,
        input_name=input_name,
        profiles=profiles,
        precision=precision,
        workspace_mb=workspace_mb,
        options=options,
    )


def _profiles(table: Table) -> tuple[OptimizationProfile, ...]:
    inputs, profiles = table.table("inputs"), table.tables("profiles")
    if inputs.given and profiles:
        table.problems.add(table.at("profiles"), "expected inputs (one profile) or profiles (several)", "both")
    tables = [inputs] if inputs.given else profiles
    return tuple(_profile(profile) for profile in tables)


def _profile(table: Table) -> OptimizationProfile:
    ranges = {name: _range(table.table(name)) for name in table.keys()}  # noqa: SIM118 - marks the key as known
    table.refuse_unknown()
    return OptimizationProfile.of(ranges)


def _range(table: Table) -> ShapeRange:
    shapes = [table.shape_values(bound) for bound in ("min", "opt", "max")]
    table.refuse_unknown()
    if any(shape is None for shape in shapes):
        return ShapeRange((), (), ())
    low, best, high = (shape or () for shape in shapes)
    if not len(low) == len(best) == len(high):
        table.problems.add(
            table.at(""), "expected min, opt and max of one rank", f"{list(low)}, {list(best)}, {list(high)}"
        )
    elif any(not a <= b <= c for a, b, c in zip(low, best, high, strict=True)):
        table.problems.add(table.at(""), "expected min <= opt <= max", f"{list(low)}, {list(best)}, {list(high)}")
    return ShapeRange(low, best, high)


def _cache_root(table: Table, folder: Path) -> Path:
    """Return the path. Only braces in the key's value are placeholders, not those in the file's own folder."""
    text = table.text("cache_root", "engines")
    if set("{}") & set(PLACEHOLDER.sub("", text)):
        expected = f"expected no braces except in {' and '.join(PLACEHOLDERS)}"
        table.problems.add(table.at("cache_root"), expected, repr(text))
    return table.path("cache_root", "engines") or folder / "engines"


def _image(table: Table, folder: Path) -> ImageConfig:
    default = ImageConfig()
    image = ImageConfig(
        name=table.text("name", default.name),
        builder=table.choice("builder", _BUILDERS, default.builder),
        base=table.text("base", default.base),
        output=table.path("output", None) or folder / default.output,
    )
    table.refuse_unknown()
    if _IMAGE_NAME.fullmatch(image.name) is None:
        table.problems.add(table.at("name"), "expected an image name such as robots/engines:1.2", repr(image.name))
    if image.builder == "none" and image.base != default.base:
        table.problems.add(
            table.at("base"), 'expected "scratch", because builder = "none" cannot add to an image', repr(image.base)
        )
    return image


def _signing(table: Table) -> SigningPolicy:
    before = table.problems.count
    require, trusted = table.flag("require_signature", default=False), table.paths("trusted_keys")
    revoked, private_key = table.texts("revoked"), table.path("private_key", None)
    table.refuse_unknown()
    if require and not trusted:
        table.problems.add(
            table.at("trusted_keys"), "expected at least one key, because require_signature is true", "none"
        )
    for entry in (entry for entry in revoked if not is_revocable(entry)):
        table.problems.add(table.at("revoked"), "expected key ids and digests of 64 hex digits", repr(entry))
    if table.problems.count > before:
        return SigningPolicy()
    return SigningPolicy(require_signature=require, trusted_keys=trusted, revoked=revoked, private_key=private_key)


def _check_model_name(name: str, where: str, problems: Problems) -> None:
    if not is_model_name(name):
        expected = f"expected [a-z0-9]+ joined by single '.', '_' or '-', at most {MODEL_NAME_MAX} characters"
        problems.add(where, expected, repr(name))


def _check_shape(shape: Shape, where: str, problems: Problems) -> None:
    if not shape or any(not isinstance(d, int) or isinstance(d, bool) or d <= 0 for d in shape):
        problems.add(where, "expected positive ints", str(list(shape)))
