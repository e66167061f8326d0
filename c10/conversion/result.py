"""The result of a conversion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from c10.conversion.report import KeptNodes

_KEPT_MAX: Final = 200  # groups of nodes; limits the size of a record

HalfPrecision = Literal["fp16", "bf16"]


@dataclass(frozen=True, slots=True)
class KeptNode:
    """A node that computes in fp32 after the conversion."""

    node: str
    """Its name; "" if it has none."""
    operator: str
    """Its operator type, after the domain and a dot if the domain is not ONNX's own."""
    reason: str
    """Why it stays fp32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionResult:
    """What `convert_network` wrote."""

    converted: bool
    """Whether any value was changed to the lower precision."""
    weight_share: float
    """The part of the fp32 weights, by bytes, that their layers now read in the lower precision, from 0 to 1; 0 if the
    network has no fp32 weights, or had a lower precision already."""
    kept: tuple[KeptNode, ...] = ()
    """The nodes with fp32 values that stay fp32, in the network's order."""
    computing_layers: int = 0
    """How many nodes compute in the lower precision, including those that did so before."""


def kept_by_reason(kept: Iterable[KeptNode]) -> tuple[KeptNodes, ...]:
    """Return the kept nodes grouped by operator and reason, the largest groups first."""
    counts = Counter((node.operator, node.reason) for node in kept)
    return tuple(KeptNodes(operator=o, reason=r, nodes=count) for (o, r), count in counts.most_common(_KEPT_MAX))
