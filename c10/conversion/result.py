"""What a conversion came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from c10.conversion.report import KeptNodes

_KEPT_MAX: Final = 200  # groups of nodes; the record of one engine has room for them

HalfPrecision = Literal["fp16", "bf16"]


@dataclass(frozen=True, slots=True)
class KeptNode:
    """A node that computes in fp32 after the conversion.

    ``node`` is its name, "" for a node without one; ``operator`` its type; ``reason`` why it does.
    """

    node: str
    operator: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionResult:
    """What `convert_network` wrote.

    ``converted``: whether anything of the network was changed to the lower precision.
    ``weight_share``: the part of the fp32 weights, by bytes, that are in the lower precision where their layer reads
    them; from 0 to 1, and 0 for a network without fp32 weights.
    ``kept``: the nodes with fp32 values that stay fp32, in the network's order.
    ``computing_layers``: how many nodes compute in the lower precision.
    """

    converted: bool
    weight_share: float
    kept: tuple[KeptNode, ...] = ()
    computing_layers: int = 0


def kept_by_reason(kept: Iterable[KeptNode]) -> tuple[KeptNodes, ...]:
    """Return the kept nodes by operator and reason, the most frequent first."""
    counts = Counter((node.operator, node.reason) for node in kept)
    return tuple(KeptNodes(operator=o, reason=r, nodes=count) for (o, r), count in counts.most_common(_KEPT_MAX))
