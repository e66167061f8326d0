"""`convert_network` writes the ONNX that a build would give to a strongly typed TensorRT."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from c10.conversion.convert import Observe
from c10.conversion.convert import convert_network as convert_unobserved
from c10.conversion.result import ConversionResult, HalfPrecision
from c10.errors import EngineBuildError
from c10.measurement.inputs import inputs_of
from c10.measurement.observed import largest_magnitudes
from c10.measurement.report import NotMeasuredError
from c10.measurement.samples import Samples, read_samples, samples_of

if TYPE_CHECKING:
    from c10.conversion.model import Model
    from c10.corpus.spec import OptimizationProfile


def convert_network(
    onnx_path: str | Path,
    output_path: str | Path,
    *,
    precision: HalfPrecision,
    keep_fp32: Sequence[str] = (),
    samples: Sequence[str | Path] = (),
) -> ConversionResult:
    """Write the network of ``onnx_path`` in ``precision`` to ``output_path``, as a build would give it to TensorRT.

    Inputs and outputs keep their names and types. Values that do not fit into ``precision`` stay fp32, and so do the
    nodes that ``keep_fp32`` names by operator type or by a pattern of their name (as in `fnmatch`). Values of other
    types do not change. ``samples`` are `.npz` files with an array for each input: a conversion to fp16 then runs the
    network on them first, in this process, and values that exceed 65504 there stay fp32 too; this needs onnxruntime,
    the extra ``check``. ``output_path`` is replaced atomically, even if nothing is converted; weights of more than
    1 GiB go to ``<output_path>.data`` beside it. Needs the package onnx.

    Raises SourceError if the file or a sample cannot be read or a sample does not fit the model, EngineBuildError if
    the file is not ONNX, if it does not run on the samples or if the conversion made a valid model invalid,
    PublishError if the result cannot be written, and ConfigError for an unknown precision and for an entry of
    ``keep_fp32`` that matches no node.
    """
    observe = observer(samples_of(Path(), map(str, samples)), (), where=Path(onnx_path)) if samples else None
    return convert_unobserved(onnx_path, output_path, precision=precision, keep_fp32=keep_fp32, observe=observe)


def observer(samples: Samples, profiles: tuple[OptimizationProfile, ...], *, where: Path) -> Observe:
    """Return what tells the conversion how large the values of the network at ``where`` are on the samples.

    It raises SourceError for a sample that does not fit, and EngineBuildError if the network does not run.
    """

    def largest(model: Model) -> Mapping[str, float]:
        try:
            with tempfile.TemporaryDirectory(prefix="c10-") as folder:
                feeds = read_samples(samples, inputs_of(model), profiles)
                return largest_magnitudes(model, feeds, Path(folder))
        except NotMeasuredError as error:
            raise EngineBuildError(
                f"{where}: samples: expected a network that runs on them, got: {error}",
                remedy="Mend that, or convert without samples.",
            ) from error

    return largest
