"""What a measurement found, as the build record tells it, and the rules by which it is judged."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Literal

InputsFrom = Literal["synthetic", "samples"]

#: Part of an output's range. A deviation above it is warned of if the user set no tolerance.
WARNED_PART: Final = 0.05
#: Why nothing is measured without the library.
MISSING: Final = "onnxruntime is not installed: pip install 'c10[check]'"


class NotMeasuredError(Exception):
    """The measurement is impossible; the message is the reason, as part of a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputDeviation:
    """How far one output of the converted network is from the original's, over all inputs that were tried."""

    name: str
    """The output's name; a tensor of a sequence has its position behind it, as in ``boxes[2]``."""
    values: int
    """How many values were compared."""
    largest: float
    """The largest absolute difference of two values that are both finite; booleans count as 0 and 1."""
    range: float
    """What ``part`` is a part of: the original's largest finite value minus its smallest. If it has fewer than three
    values, or only equal ones, their largest magnitude; 1 if that is 0."""
    part: float
    """``largest`` over ``range``."""
    cosine: float | None
    """The smallest cosine of the angle between the two outputs, over the inputs; their finite values count. None if
    one of them is 0 everywhere and the other is not, or if nothing was compared."""
    nan: int
    """How many values of the converted network are NaN."""
    infinite: int
    """How many values of the converted network are infinite."""
    lost: int
    """How many values are finite in the original, and NaN or infinite in the converted network."""
    gained: int
    """How many values are NaN or infinite in the original, and something else in the converted network."""
    shapes: int
    """For how many inputs the two outputs differ in type or shape, so that no value could be compared."""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> OutputDeviation:
        """Return what ``dataclasses.asdict`` made these values of. Raises KeyError, TypeError and ValueError."""
        cosine = values["cosine"]
        return cls(
            name=_text(values["name"]),
            cosine=None if cosine is None else _number(cosine, least=-1.0),
            largest=_number(values["largest"]),
            range=_number(values["range"]),
            part=_number(values["part"]),
            values=_count(values["values"]),
            nan=_count(values["nan"]),
            infinite=_count(values["infinite"]),
            lost=_count(values["lost"]),
            gained=_count(values["gained"]),
            shapes=_count(values["shapes"]),
        )

    def faults(self) -> Iterator[str]:
        """Yield what no tolerance allows, one sentence each."""
        if self.shapes:
            yield f"output {self.name}: another type or shape than the original's for {self.shapes} inputs"
        if self.lost:
            yield f"output {self.name}: {self.lost} of {self.values} values were finite and are NaN or infinite now"
        if self.gained:
            yield f"output {self.name}: {self.gained} of {self.values} values were NaN or infinite and are others now"

    def beyond(self, part: float) -> Iterator[str]:
        """Yield a sentence if the deviation is more than ``part`` of the range."""
        if self.part > part:
            allowed = f"{100 * part:.3g} %"
            yield f"output {self.name}: deviates by {self.words()}, more than {allowed}"

    def words(self) -> str:
        """Return the deviation for a person."""
        return f"{self.largest:.3g}, {100 * self.part:.3g} % of its range of {self.range:.3g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementReport:
    """What a measurement found, or why there was none."""

    precision: str
    """The precision of the converted network: fp16 or bf16."""
    inputs_from: InputsFrom
    """``samples``: the user's own inputs. ``synthetic``: inputs made by c10, which may be unlike the user's data."""
    samples_sha256: str = ""
    """The digest of the samples, their names and contents, in hex; "" for synthetic inputs."""
    inputs: int = 0
    """How many inputs both networks were run on."""
    outputs: tuple[OutputDeviation, ...] = ()
    """The deviation of each output, in the model's order."""
    library: str = ""
    """The library that ran the networks, with its version: ``onnxruntime 1.23.2``."""
    not_measured: str = ""
    """Why there are no numbers; "" if there are."""

    @property
    def measured(self) -> bool:
        """Whether there are numbers."""
        return not self.not_measured

    def missed(self, tolerance: float) -> tuple[str, ...]:
        """Return what misses a tolerance, one sentence each; () if the converted network is within it.

        ``tolerance``: the largest deviation allowed, as part of an output's range. A new NaN or infinity misses every
        tolerance, and so does a measurement that did not take place.
        """
        if not self.measured:
            return (f"not measured: {self.not_measured}",)
        return tuple(words for output in self.outputs for words in (*output.faults(), *output.beyond(tolerance)))

    def warnings(self) -> tuple[str, ...]:
        """Return what to warn of if no tolerance is set: values that are no longer finite, and large deviations."""
        return self.missed(WARNED_PART) if self.measured else ()

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values, all numbers finite."""
        return {**asdict(self), "outputs": [asdict(output) for output in self.outputs]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> MeasurementReport:
        """Return the report that ``to_json`` made these values of. Raises KeyError, TypeError and ValueError."""
        if values["inputs_from"] not in {"synthetic", "samples"}:
            raise ValueError(f"{values['inputs_from']!r} is no origin of inputs")
        texts = {field.name: _text(values[field.name]) for field in fields(cls) if field.type == "str"}
        return cls(
            inputs_from=values["inputs_from"],
            inputs=_count(values["inputs"]),
            outputs=tuple(OutputDeviation.from_json(output) for output in values["outputs"]),
            **texts,
        )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    value.encode()  # half a character cannot be shown
    return value


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is no count")
    return value


def _number(value: Any, *, least: float = 0.0) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < least:
        raise ValueError(f"{value!r} is no finite number of at least {least}")
    return float(value)
