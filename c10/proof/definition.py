"""The build definition, which holds every input of an engine in SLSA's form, and the build key.

https://slsa.dev/spec/v1.0/provenance: externalParameters (what the user asked for), internalParameters (what
the machine added), resolvedDependencies (files, by digest). The build key is the SHA-256 of the definition as
canonical JSON (RFC 8785). Paths are not in it: an engine directory may be copied to another checkout. Options at
their neutral value are omitted, so that an option added later changes no key; ``recorded_options`` fills them in.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from c10.corpus.revisions import CONFIGURE_REVISIONS, CONVERTER_REVISION
from c10.corpus.runtimes import RUNTIME_OF
from c10.corpus.spec import BUILD_OPTIONS, BuildOptions, OptimizationProfile
from c10.corpus.target import EngineTarget
from c10.files.onnx_files import external_data_files
from c10.host.capabilities import host_facts
from c10.host.installed import installed_version
from c10.proof.facts import Difference
from c10.proof.form import BuildDefinition, Dimension, ExternalParameters, FactValue, Profile

BUILD_TYPE: Final = "urn:c10:engine:v1"
#: Variables of the environment that change what the builder does. Source: TensorRT's documentation, TF32.
ENVIRONMENT: Final = ("NVIDIA_TF32_OVERRIDE",)
_DOUBLE_MAX: Final = 2**53 - 1  # the largest integer below which a double holds every one
#: Canonical JSON except for the order of non-ASCII keys and for floats: equal texts are equal values.
_plain_json: Final = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False
).encode
_LARGE_NUMBER: Final = re.compile("-?[1-9][0-9]{15,18}")


def _json(value: Any) -> Any:
    """Return an option's value as JSON represents it: a tuple becomes a list."""
    return list(value) if isinstance(value, tuple) else value


#: The neutral value of each option in the key; a definition omits an option that has it.
_NEUTRAL: Final = {row.name: _json(row.neutral) for row in BUILD_OPTIONS if row.in_definition}


def source_files(target: EngineTarget, external_data: Iterable[str] | None = None) -> dict[str, Path]:
    """Return every file that goes into the engine, by its role.

    ``external_data``: the locations that the ONNX names; None reads them from the ONNX. Raises SourceError.
    """
    folder = target.onnx_path.parent
    if external_data is None:
        external_data = external_data_files(target.onnx_path)
    files = {"onnx": target.onnx_path}
    files |= {f"external_data:{location}": folder / location for location in external_data}
    return files | dict(_option_files(target.build_config.options))


def build_definition(target: EngineTarget, digests: Mapping[str, str], *, converted: bool) -> BuildDefinition:
    """Return the definition of this build, without the options at their neutral value.

    ``digests``: the SHA-256 of each of ``source_files`` in hex, by role.
    ``converted``: whether c10 converted the network. Only the build determines this; later calls take it from the
    record (``was_converted``), which is valid while the ONNX and the options are the recorded ones.
    """
    row = RUNTIME_OF[target.runtime]
    return {
        "buildType": BUILD_TYPE,
        "externalParameters": {
            "model_name": target.model_name,
            "precision": target.build_config.precision,
            "workspace_mb": target.build_config.workspace_mb,
            "profiles": [_profile(profile) for profile in target.build_config.profiles],
            "options": _options(target.build_config.options),
        },
        "internalParameters": {
            "runtime": _runtime(target, converted=converted),
            "host": {fact: getattr(target.host, fact) for fact in host_facts(on_device=row.on_device)},
            "environment": {name: os.environ.get(name) for name in ENVIRONMENT},
        },
        "resolvedDependencies": [
            {"name": role, "digest": {"sha256": sha256}} for role, sha256 in sorted(digests.items())
        ],
    }


def was_converted(definition: BuildDefinition) -> bool:
    """Whether the network of a recorded build was converted by c10."""
    return definition["internalParameters"]["runtime"].get("converter") is not None


def recorded_options(definition: BuildDefinition) -> dict[str, Any]:
    """Return the build options of a recorded definition; an option that it lacks has its neutral value.

    Every reader of a definition's options calls this. An option that this c10 does not know is returned unchanged.
    """
    return {**_NEUTRAL, **definition["externalParameters"]["options"]}


def refuse_malformed(definition: Any) -> None:
    """Raise ValueError, KeyError, TypeError or AttributeError for what ``build_definition`` cannot have returned.

    A matching key does not imply a well-formed definition; readers rely on this check.
    """
    asked, machine = definition["externalParameters"], definition["internalParameters"]
    facts = (asked["options"], machine["runtime"], machine["host"], machine["environment"])
    numbers: list[Any] = []
    texts = [definition["buildType"], asked["model_name"], asked["precision"]]
    for profile in asked["profiles"]:
        for name, shapes in profile.items():
            texts.append(name)
            numbers += (*shapes["min"], *shapes["opt"], *shapes["max"])
    for dependency in definition["resolvedDependencies"]:
        texts += (dependency["name"], dependency["digest"]["sha256"])
    well_formed = all(isinstance(part, dict) for part in facts) and all(map(_is_number, numbers))
    well_formed &= type(asked["workspace_mb"]) is int
    well_formed &= all(isinstance(text, str) and "\0" not in text for text in texts)
    if not well_formed or not definition["resolvedDependencies"]:
        raise ValueError("the build definition is not in c10's form")


def build_key(definition: BuildDefinition) -> str:
    """Return the SHA-256 of the definition's canonical JSON (RFC 8785), in hex.

    For ASCII without floats json.dumps already yields RFC 8785 bytes, 20 times faster; otherwise use rfc8785.
    A definition has no floats.
    """
    plain = _plain_json(definition)
    if plain.isascii():
        return hashlib.sha256(plain.encode()).hexdigest()
    import rfc8785  # needed only for non-ASCII names

    values: Any = definition  # rfc8785 has types for dict and list alone
    return hashlib.sha256(rfc8785.dumps(values)).hexdigest()


def differences(old: BuildDefinition, new: BuildDefinition) -> tuple[Difference, ...]:
    """Return the facts in which two definitions differ, in the order of the decision table; () for the same build.

    An option at its neutral value equals an absent one: a c10 without the option built with that value. Any other
    fact that only one definition has is a difference.
    """
    before, after = _options_filled_in(old), _options_filled_in(new)
    if _plain_json(before) == _plain_json(after):  # == would treat True as 1
        return ()
    found = tuple(_different_facts(dict(_flatten(before)), dict(_flatten(after))))
    # A difference outside the table (another build type, an unknown section) is still another build.
    return found or (Difference("build definition", build_key(old)[:12], build_key(new)[:12]),)


def _options_filled_in(definition: BuildDefinition) -> BuildDefinition:
    asked: ExternalParameters = {**definition["externalParameters"], "options": recorded_options(definition)}
    return {**definition, "externalParameters": asked}


def _different_facts(before: dict[str, Any], after: dict[str, Any]) -> Iterator[Difference]:
    for key in (*after, *(key for key in before if key not in after)):
        difference = Difference(key, before.get(key), after.get(key))
        if _plain_json(difference.old) != _plain_json(difference.new):
            yield difference


def _runtime(target: EngineTarget, *, converted: bool) -> dict[str, FactValue]:
    return {
        "name": target.runtime,
        "version": target.runtime_version,
        "onnx_parser": target.runtime_version if RUNTIME_OF[target.runtime].own_parser else target.host.onnx_parser,
        "converter": f"c10/{CONVERTER_REVISION}" if converted else None,
        "onnx": installed_version("onnx") if converted else None,
        "configure": CONFIGURE_REVISIONS[target.runtime],
    }


def _options(options: BuildOptions) -> dict[str, Any]:
    """Return the options that are not at their neutral value."""
    asked = (row for row in BUILD_OPTIONS if row.in_definition and not row.is_neutral(options))
    return {row.name: _json(getattr(options, row.name)) for row in asked}


def _option_files(options: BuildOptions) -> Iterator[tuple[str, Path]]:
    """Yield the files that options name, by role; numbered, as their order matters and two may have the same name."""
    for row in BUILD_OPTIONS:
        value = getattr(options, row.name) if row.role else None
        if isinstance(value, (tuple, list)):
            yield from ((f"{row.role}:{path.name}#{order}", path) for order, path in enumerate(value, start=1))
        elif value is not None:
            yield row.role, value


def _profile(profile: OptimizationProfile) -> Profile:
    return {
        name: {"min": _shape(shapes.min), "opt": _shape(shapes.opt), "max": _shape(shapes.max)}
        for name, shapes in profile.inputs
    }


def _shape(shape: Iterable[int]) -> list[Dimension]:
    return [_number(number) for number in shape]


def _number(number: int) -> Dimension:
    """Return an integer in a form that RFC 8785 allows: a string of digits if it exceeds a double's 53 bits."""
    return number if abs(number) <= _DOUBLE_MAX else str(number)


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return _LARGE_NUMBER.fullmatch(value) is not None
    return type(value) is int


def _flatten(definition: BuildDefinition) -> Iterator[tuple[str, Any]]:
    for dependency in definition["resolvedDependencies"]:
        yield f"source.{dependency['name']}", dependency["digest"]["sha256"]
    for section in (definition["externalParameters"], definition["internalParameters"]):
        for key, value in section.items():
            if isinstance(value, dict):
                yield from ((f"{key}.{name}", inner) for name, inner in value.items())
            else:
                yield key, value
