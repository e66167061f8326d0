"""What a case is: a small network, what to feed it with, and what is right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

Array = np.ndarray[Any, Any]
Feeds = Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """A network that has to compute the same after the conversion.

    ``right``: the outputs for each of ``feeds``, where they are known without computing; by default the original says.
    ``tolerance``: the largest deviation, as a part of the output's range. Integers and booleans have to be equal.
    ``half``: operators of which every node has to compute in half, so that nothing is poisoned; ``full``: operators
    that must not. ``converted``: what `convert_network` has to say, None for either. ``reference`` and ``onnxruntime``
    say who can run the original (`onnx.reference` has faults, ONNX Runtime begins with opset 7).
    """

    name: str
    build: Callable[[], onnx.ModelProto]
    feeds: tuple[Feeds, ...]
    right: tuple[tuple[Any, ...], ...] = ()
    tolerance: float = 0.005
    half: tuple[str, ...] = ()
    full: tuple[str, ...] = ()
    converted: bool | None = None
    reference: bool = True
    onnxruntime: bool = True


def network(text: str, *, opset: int = 17, ir: int = 8, domains: str = "", **constants: Any) -> onnx.ModelProto:
    """Parse a graph in ONNX's text form, with the model's functions after it, and give it its initializers.

    ``domains``: further opset imports, as ', "my" : 1'.
    """
    model = onnx.parser.parse_model(f'<ir_version: {ir}, opset_import: ["" : {opset}{domains}]>\n{text}')
    model.graph.initializer.extend(numpy_helper.from_array(_plain(value), name) for name, value in constants.items())
    onnx.checker.check_model(model, full_check=True)
    return model


def case(name: str, text: str, feeds: Feeds | Iterable[Feeds], **options: Any) -> Case:
    """Make a case of a text; options that `Case` does not know are the network's."""
    own = {key: options.pop(key) for key in Case.__dataclass_fields__ if key in options}
    given = (feeds,) if isinstance(feeds, Mapping) else tuple(feeds)
    return Case(name, lambda: network(text, **options), given, **own)


def normal(*shape: int, scale: float = 1, seed: int = 0) -> Array:
    """Return normally distributed values in fp32."""
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32)


def floats(values: object) -> Array:
    """Return these values in fp32."""
    return np.array(values, np.float32)


def uniform(low: float, high: float, *shape: int, seed: int = 0) -> Array:
    """Return values in fp32 between two bounds."""
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)


def integers(low: int, high: int, *shape: int, dtype: Any = np.int64, seed: int = 0) -> Array:
    """Return whole numbers from ``low`` to ``high`` - 1."""
    return np.random.default_rng(seed).integers(low, high, shape).astype(dtype)


def _plain(value: Any) -> Array:
    """Return an array; Python's floats are fp32, its integers int64."""
    dtype = {float: np.float32, int: np.int64, bool: np.bool_}.get(type(value))
    return np.asarray(value, dtype)


#: The 8 × 8 weights of most small networks.
W = normal(8, 8, scale=0.3)
W2 = np.ascontiguousarray(W.T)
X = normal(2, 8, seed=1)
