"""The runtimes of c10: one row for each, from which every place that tells them apart is derived.

The rows are plain data and import nothing of c10, so every layer above ``host`` may read them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

RuntimeChoice = Literal["auto", "tensorrt", "tensorrt_rtx"]
RuntimeKind = Literal["trt", "rtx"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeRow:
    """One row of the table of runtimes.

    ``kind`` is the tag in file names and records, ``word`` the value of ``runtime`` in backbones.toml and also the
    name of the Python package, ``product`` the name for a person. ``version_fact`` is the attribute of
    HostCapabilities that holds the version in full. ``on_device``: the builder measures on the GPU that the engine
    is for. It needs that GPU, its lock and a timing cache, and the engine's name holds the compute capability and the
    JetPack of the host; a builder that does not names its targets instead. ``own_parser``: the ONNX parser is part of
    the runtime and has its version. ``loads_plugins``: the builder takes plugin libraries.
    """

    kind: RuntimeKind
    word: RuntimeChoice
    product: str
    version_fact: str
    on_device: bool
    own_parser: bool
    loads_plugins: bool


RUNTIMES: Final = (
    RuntimeRow(
        kind="trt",
        word="tensorrt",
        product="TensorRT",
        version_fact="tensorrt_version",
        on_device=True,
        own_parser=False,
        loads_plugins=True,
    ),
    RuntimeRow(
        kind="rtx",
        word="tensorrt_rtx",
        product="TensorRT-RTX",
        version_fact="rtx_version",
        on_device=False,
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
