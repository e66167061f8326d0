"""The runtimes of c10: one row for each, from which every place that tells them apart is derived.

The rows are plain data, so every layer above ``host`` may read them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from c10.files.naming import RuntimeKind as RuntimeKind  # noqa: PLC0414 - handed on to those who read the table

RuntimeChoice = Literal["auto", "tensorrt", "tensorrt_rtx"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeRow:
    """One row of the table of runtimes."""

    kind: RuntimeKind
    """The tag in file names and records, and the name of the extra that installs the runtime (``c10[rtx]``)."""
    word: RuntimeChoice
    """The value of ``runtime`` in backbones.toml, and the name of the Python package."""
    product: str
    """The name for a person."""
    versions: str
    """The versions that c10 supports, in words."""
    version_fact: str
    """The attribute of HostCapabilities that holds the version in full."""
    host_example: str
    """What ``engines-plan --host`` has to be told at least, as an example."""
    on_device: bool
    """Whether the builder measures on the GPU that the engine is for. It then needs that GPU, its lock and a timing
    cache, and the engine's name holds the compute capability and the JetPack of the host."""
    default_targets: str = ""
    """For a builder that does not measure: the compute capabilities that it compiles for if it is given none, as
    they stand in the engine's name."""
    own_parser: bool
    """Whether the ONNX parser is part of the runtime and has its version."""
    loads_plugins: bool
    """Whether the builder takes plugin libraries."""


#: In the order in which ``auto`` tries them.
RUNTIMES: Final = (
    RuntimeRow(
        kind="trt",
        word="tensorrt",
        product="TensorRT",
        versions="10.x or 11.x",
        version_fact="tensorrt_version",
        host_example="sm=87,jp=6.2.1,trt=10.3",
        on_device=True,
        own_parser=False,
        loads_plugins=True,
    ),
    RuntimeRow(
        kind="rtx",
        word="tensorrt_rtx",
        product="TensorRT-RTX",
        versions="1.4 or later",
        version_fact="rtx_version",
        host_example="rtx_version=1.7",
        on_device=False,
        default_targets="80.86.89.120+",  # Ampere to Blackwell, and later ones
        own_parser=True,
        loads_plugins=False,
    ),
)

#: The rows by the tag in file names.
RUNTIME_OF: Final[Mapping[str, RuntimeRow]] = MappingProxyType({row.kind: row for row in RUNTIMES})
#: The kinds by the word in backbones.toml.
KIND_OF_WORD: Final[Mapping[str, RuntimeKind]] = MappingProxyType({row.word: row.kind for row in RUNTIMES})
#: What ``runtime`` may be in backbones.toml.
RUNTIME_WORDS: Final = ("auto", *KIND_OF_WORD)
