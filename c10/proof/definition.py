"""The build definition: all that goes into an engine, in SLSA's form, and the build key.

https://slsa.dev/spec/v1.0/provenance: externalParameters (what the user asked for), internalParameters (what
the machine added), resolvedDependencies (files, by digest). The build key is the SHA-256 of the definition as
canonical JSON (RFC 8785). Paths are not in it: an engine directory may be copied to another checkout. Options at
their neutral value are left out, so that an option added later changes no key; ``recorded_options`` fills them in.
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
from c10.corpus.spec import BUILD_OPTIONS, BuildOptions, OptimizationProfile
from c10.corpus.target import EngineTarget
from c10.files.onnx_files import external_data_files
from c10.host.capabilities import host_facts
from c10.host.installed import installed_version
from c10.proof.facts import Difference

BUILD_TYPE: Final = "urn:c10:engine:v1"
#: Variables of the environment that change what the builder does. Source: TensorRT's documentation, TF32.
ENVIRONMENT: Final = ("NVIDIA_TF32_OVERRIDE",)
_DOUBLE_MAX: Final = 2**53 - 1  # the largest integer below which a double holds every one
#: Canonical JSON, but for the order of keys outside ASCII and for floats: equal texts are equal values.
_plain_json: Final = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False
).encode
_LARGE_NUMBER: Final = re.compile("-?[1-9][0-9]{15,18}")


def _json(value: Any) -> Any:
    """Return an option's value as JSON has it."""
    return list(value) if isinstance(value, tuple) else value


#: The value of each option of the key that a definition leaves out.
_NEUTRAL: Final = {row.name: _json(row.neutral) for row in BUILD_OPTIONS if row.in_definition}


def source_files(target: EngineTarget, external_data: Iterable[str] | None = None) -> dict[str, Path]:
    """Return every file that goes into the engine, by its role.

    ``external_data`` are the locations that the ONNX names, where they are known; else the ONNX is looked
    into. Raises SourceError.
    """
    folder = target.onnx_path.parent
    if external_data is None:
        external_data = external_data_files(target.onnx_path)
    files = {"onnx": target.onnx_path}
    files |= {f"external_data:{location}": folder / location for location in external_data}
    return files | dict(_option_files(target.build_config.options))


def build_definition(target: EngineTarget, digests: Mapping[str, str], *, converted: bool) -> dict[str, Any]:
    """Return the definition of this build, options at their neutral value left out.

    ``digests``: the SHA-256 of each of ``source_files`` in hex, by role.
    ``converted``: whether c10 converted the network. The build finds that out; later the record says it
    (``was_converted``), and it holds as long as the ONNX and the options are the recorded ones.
    """
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
            "host": {fact: getattr(target.host, fact) for fact in host_facts(target.runtime)},
            "environment": {name: os.environ.get(name) for name in ENVIRONMENT},
        },
        "resolvedDependencies": [
            {"name": role, "digest": {"sha256": sha256}} for role, sha256 in sorted(digests.items())
        ],
    }


def was_converted(definition: dict[str, Any]) -> bool:
    """Whether the network of a recorded build was converted by c10."""
    return definition["internalParameters"]["runtime"].get("converter") is not None


def recorded_options(definition: dict[str, Any]) -> dict[str, Any]:
    """Return the build options of a recorded definition, each one that it lacks at its neutral value.

    All that reads the options of a definition reads them here. An option that the record names and this c10 does
    not know is returned as it is.
    """
    return {**_NEUTRAL, **definition["externalParameters"]["options"]}


def refuse_malformed(definition: Any) -> None:
    """Raise ValueError, KeyError, TypeError or AttributeError for what ``build_definition`` cannot have returned.

    A build key is right of any nonsense too, and whoever reads a definition takes its form for granted.
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


def build_key(definition: dict[str, Any]) -> str:
    """Return the SHA-256 of the definition's canonical JSON (RFC 8785), in hex.

    The two forms differ in how floats are written, of which a definition has none, and in the order of keys
    outside ASCII; where there are none the C writer of the standard library takes a twentieth of the time.
    """
    plain = _plain_json(definition)
    if plain.isascii():
        return hashlib.sha256(plain.encode()).hexdigest()
    import rfc8785  # an input's name outside ASCII

    return hashlib.sha256(rfc8785.dumps(definition)).hexdigest()


def differences(old: dict[str, Any], new: dict[str, Any]) -> tuple[Difference, ...]:
    """Return what two definitions do not share, in the order of the decision table's groups; () for the same build.

    A neutral option equals an absent one: a c10 that did not know an option built with its neutral value. Any other
    fact that one side lacks is a difference.
    """
    before, after = _options_filled_in(old), _options_filled_in(new)
    if _plain_json(before) == _plain_json(after):  # == would take True for 1
        return ()
    found = tuple(_different_facts(dict(_flatten(before)), dict(_flatten(after))))
    # What no fact tells (another build type, an unknown section) is still not the same build.
    return found or (Difference("build definition", build_key(old)[:12], build_key(new)[:12]),)


def _options_filled_in(definition: dict[str, Any]) -> dict[str, Any]:
    asked = {**definition["externalParameters"], "options": recorded_options(definition)}
    return {**definition, "externalParameters": asked}


def _different_facts(before: dict[str, Any], after: dict[str, Any]) -> Iterator[Difference]:
    for key in (*after, *(key for key in before if key not in after)):
        difference = Difference(key, before.get(key), after.get(key))
        if _plain_json(difference.old) != _plain_json(difference.new):
            yield difference


def _runtime(target: EngineTarget, *, converted: bool) -> dict[str, str | int | None]:
    return {
        "name": target.runtime,
        "version": target.runtime_version,
        "onnx_parser": target.runtime_version if target.runtime == "rtx" else target.host.onnx_parser,
        "converter": f"c10/{CONVERTER_REVISION}" if converted else None,
        "onnx": installed_version("onnx") if converted else None,
        "configure": CONFIGURE_REVISIONS[target.runtime],
    }


def _options(options: BuildOptions) -> dict[str, Any]:
    """Return the options that are not at their neutral value; 1 is not True here, as it is not in JSON."""
    asked = ((name, _json(getattr(options, name)), neutral) for name, neutral in _NEUTRAL.items())
    return {name: value for name, value, neutral in asked if value != neutral or type(value) is not type(neutral)}


def _option_files(options: BuildOptions) -> Iterator[tuple[str, Path]]:
    """Yield the files that options name, by role; the order of several counts, and two may have one name."""
    for row in BUILD_OPTIONS:
        value = getattr(options, row.name) if row.role else None
        if isinstance(value, (tuple, list)):
            yield from ((f"{row.role}:{path.name}#{order}", path) for order, path in enumerate(value, start=1))
        elif value is not None:
            yield row.role, value


def _profile(profile: OptimizationProfile) -> dict[str, Any]:
    return {
        name: {bound: [_number(n) for n in getattr(shapes, bound)] for bound in ("min", "opt", "max")}
        for name, shapes in profile.inputs
    }


def _number(number: int) -> int | str:
    """Return an integer as RFC 8785 can carry it: one beyond a double's 53 bits as a string of digits."""
    return number if abs(number) <= _DOUBLE_MAX else str(number)


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return _LARGE_NUMBER.fullmatch(value) is not None
    return type(value) is int


def _flatten(definition: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for dependency in definition["resolvedDependencies"]:
        yield f"source.{dependency['name']}", dependency["digest"]["sha256"]
    for section in ("externalParameters", "internalParameters"):
        for key, value in definition[section].items():
            if isinstance(value, dict):
                yield from ((f"{key}.{name}", inner) for name, inner in value.items())
            else:
                yield key, value
