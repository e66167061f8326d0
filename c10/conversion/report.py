"""What became of a network on its way to the builder, as the build record tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

TypesFrom = Literal["conversion", "network", "builder", "injected runtime"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptNodes:
    """Nodes of one operator that stay fp32 for one reason, and how many they are."""

    operator: str
    reason: str
    nodes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkReport:
    """What became of a network on its way to the builder.

    ``types_from``: who chose the types in which the engine computes: c10's ``conversion``, the ``network`` itself, the
    ``builder`` by its flag, or an ``injected runtime``, which is given the ONNX unchanged.
    ``share``: the part of the weights, by bytes, in the engine's precision, from 0 to 1 (without weights: the part of
    the computing layers); None if the builder or an injected runtime chose.
    ``computing_layers``: how many layers of a converted network compute in the engine's precision.
    ``kept``: what of a converted network stays fp32.
    ``onnx_problem``: what onnx's checker says against the ONNX that was converted; "" if it is valid.
    ``renamed_dimensions``: the placeholder names of free dimensions that c10 set apart.
    ``warnings``: what libraries and TensorRT warned of while the engine was built.
    """

    types_from: TypesFrom
    share: float | None = None
    computing_layers: int = 0
    kept: tuple[KeptNodes, ...] = ()
    onnx_problem: str = ""
    renamed_dimensions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def converted(self) -> bool:
        """Whether c10 converted the network."""
        return self.types_from == "conversion"

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> NetworkReport:
        """Return the report that ``dataclasses.asdict`` made these fields of.

        Raises KeyError, TypeError and ValueError for others.
        """
        share = fields["share"]
        if not (share is None or (isinstance(share, (int, float)) and 0 <= share <= 1)):
            raise ValueError(f"{share!r} is no share")
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
        """Return how much of a converted network has ``precision``, for a person; "" for another network."""
        if not self.converted:
            return ""
        if self.share:
            return f"{_percent(self.share)} of its weights in {precision}"
        return f"{self.computing_layers} layers without weights in {precision}"


def _percent(share: float) -> str:
    """Return a share in percent, and neither 0 nor 100 for one that is not."""
    rounded = min(max(share, 0.01), 0.99) if 0 < share < 1 else share
    return f"{rounded:.0%}".replace("%", " %")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    value.encode()  # half a character cannot be shown
    return value
