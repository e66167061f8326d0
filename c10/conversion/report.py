"""How a network was given to the builder, as the build record states it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

TypesFrom = Literal["conversion", "network", "builder", "injected runtime"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptNodes:
    """Nodes of one operator that stay fp32 for one reason."""

    operator: str
    """The operator type."""
    reason: str
    """Why they stay fp32."""
    nodes: int
    """How many they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkReport:
    """How a network was given to the builder: which types it has, and what c10 changed."""

    types_from: TypesFrom
    """Who chose the types in which the engine computes: c10's ``conversion``, the ``network`` itself, the ``builder``
    (by its precision flag), or an ``injected runtime``, which gets the ONNX unchanged."""
    share: float | None = None
    """The part of the weights, by bytes, in the engine's precision, from 0 to 1 (without weights: of the computing
    layers); None if the builder or an injected runtime chose the types."""
    computing_layers: int = 0
    """How many layers of a converted network compute in the engine's precision."""
    kept: tuple[KeptNodes, ...] = ()
    """The nodes of a converted network that stay fp32."""
    onnx_problem: str = ""
    """The error that onnx's checker reports for the ONNX before its conversion; "" if that is valid."""
    renamed_dimensions: tuple[str, ...] = ()
    """The placeholder names of free dimensions that c10 replaced by unique names."""
    warnings: tuple[str, ...] = ()
    """The warnings of libraries and TensorRT during the build, each once."""

    @property
    def converted(self) -> bool:
        """Whether c10 converted the network."""
        return self.types_from == "conversion"

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> NetworkReport:
        """Return the report of which ``dataclasses.asdict`` returned these fields.

        Raises KeyError, TypeError or ValueError for anything else.
        """
        share = fields["share"]
        if not (share is None or (isinstance(share, (int, float)) and 0 <= share <= 1)):
            raise ValueError(f"{share!r} is not a share from 0 to 1")
        return cls(
            types_from=_text(fields["types_from"]),  # type: ignore[arg-type] # a later c10 may know more
            share=share,
            computing_layers=int(fields["computing_layers"]),
            kept=tuple(
                KeptNodes(operator=_text(kept["operator"]), reason=_text(kept["reason"]), nodes=int(kept["nodes"]))
                for kept in fields["kept"]
            ),
            onnx_problem=_text(fields["onnx_problem"]),
            renamed_dimensions=tuple(map(_text, fields["renamed_dimensions"])),
            warnings=tuple(map(_text, fields["warnings"])),
        )

    def words(self, precision: str) -> str:
        """Return in words how much of a converted network has ``precision``; "" if it was not converted."""
        if not self.converted:
            return ""
        if self.share:
            return f"{_percent(self.share)} of its weights in {precision}"
        return f"{self.computing_layers} layers without weights in {precision}"


def _percent(share: float) -> str:
    """Return a share in percent; only 0 and 1 themselves become 0 % and 100 %."""
    rounded = min(max(share, 0.01), 0.99) if 0 < share < 1 else share
    return f"{rounded:.0%}".replace("%", " %")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a string")
    value.encode()  # UnicodeEncodeError, a ValueError, for a lone surrogate, which cannot be printed
    return value
