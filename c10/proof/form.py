"""The form of a build definition, which ``definition`` makes and a build record holds.

SLSA's names: https://slsa.dev/spec/v1.0/provenance. A record is untrusted input: ``definition.refuse_malformed``
checks this form before anybody reads it.
"""

from __future__ import annotations

from typing import Any, TypeAlias, TypedDict

#: A fact as JSON holds it.
FactValue: TypeAlias = str | int | None
#: An integer, or its digits if it exceeds the 53 bits of a double (RFC 8785).
Dimension: TypeAlias = int | str


class Shapes(TypedDict):
    """The shapes of one input in an optimization profile."""

    min: list[Dimension]
    """The smallest shape."""
    opt: list[Dimension]
    """The shape for which TensorRT optimizes."""
    max: list[Dimension]
    """The largest shape."""


#: An optimization profile: the shapes of each input, by its name.
Profile: TypeAlias = dict[str, Shapes]


class ExternalParameters(TypedDict):
    """What the user asked for."""

    model_name: str
    """The backbone's name."""
    precision: str
    """One of ``files.naming.PRECISIONS``."""
    workspace_mb: int
    """Memory that the builder may use, in MiB."""
    profiles: list[Profile]
    """In the order of the configuration; [] for the shapes of the model."""
    options: dict[str, Any]
    """The build options that are not at their neutral value; read them with ``definition.recorded_options``."""


class InternalParameters(TypedDict):
    """What the machine added."""

    runtime: dict[str, FactValue]
    """name, version, onnx_parser, converter, onnx, configure; older records lack some."""
    host: dict[str, FactValue]
    """The facts of ``host.capabilities.host_facts``, by name."""
    environment: dict[str, str | None]
    """The variables of ``definition.ENVIRONMENT``; None for one that is not set."""


class DependencyDigest(TypedDict):
    """The digest of a file."""

    sha256: str
    """Of its bytes, in hex."""


class Dependency(TypedDict):
    """A file that went into the engine."""

    name: str
    """Its role: see ``definition.source_files``."""
    digest: DependencyDigest
    """Its digest."""


class BuildDefinition(TypedDict):
    """Everything that goes into an engine."""

    buildType: str
    """``definition.BUILD_TYPE``."""
    externalParameters: ExternalParameters
    """What the user asked for."""
    internalParameters: InternalParameters
    """What the machine added."""
    resolvedDependencies: list[Dependency]
    """The files, sorted by role; never empty."""
