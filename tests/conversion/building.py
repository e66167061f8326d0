"""TensorRT-RTX by hand and c10 on one model after another, in a process that a crash or a hang ends.

c10 itself starts a process for each engine; here that would be an hour of starting for 8,000 builds.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from c10.corpus.spec import BuildConfig, OptimizationProfile, Precision, ShapeRange
from c10.errors import ConfigError, EngineBuildError, PublishError, SourceError

Ending = Literal["engine", "refused", "failed", "raised", "crashed", "hung"]

TIMEOUT_S: Final = 120
#: How c10 says that a network and a precision do not go together, behind the path of the network.
_BY_PRECISION: Final = "precision "
_NOTHING_TO_CONVERT: Final = "expected a layer that can compute in it"
_FREE: Final = -1


@dataclass(frozen=True)
class Outcome:
    """What a build came to, and what was said of it.

    ``refused``: by the network's precision, before TensorRT saw it. ``failed``: with any other error that c10 has for
    it, or, by hand, without an engine. ``raised``: anything else. ``profiles``: by hand, those that the network needs.
    """

    ending: Ending
    why: str = ""
    profiles: tuple[OptimizationProfile, ...] = ()


class BuildProcess:
    """Builds in one process until that dies or is ended, and then in the next."""

    def __init__(self) -> None:
        self._process: Any = None
        self._pipe: Connection | None = None

    def by_hand(self, onnx_path: Path, feeds: Mapping[str, Any]) -> Outcome:
        """Build a network in its own types, as TensorRT's samples do; ``feeds`` give shapes and values to profiles."""
        arrays = {name: value for name, value in feeds.items() if isinstance(value, np.ndarray)}
        return self._call(_by_hand, onnx_path, arrays)

    def by_c10(self, onnx_path: Path, precision: Precision, profiles: tuple[OptimizationProfile, ...]) -> Outcome:
        """Build a network as c10's compiling child does; the engine is thrown away."""
        return self._call(_by_c10, onnx_path, precision, profiles)

    def close(self) -> None:
        """End the process; the next build starts another."""
        if self._pipe is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
        self._process = self._pipe = None

    def _call(self, function: Callable[..., Outcome], *arguments: Any) -> Outcome:
        pipe = self._pipe or self._start()
        pipe.send((function, arguments))
        if not pipe.poll(TIMEOUT_S):
            self.close()
            return Outcome("hung", f"no answer within {TIMEOUT_S} s")
        try:
            outcome: Outcome = pipe.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            code = self._process.exitcode
            self.close()
            return Outcome("crashed", f"exit status {code}")
        return outcome

    def _start(self) -> Connection:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()  # so that the pipe ends with the process
        return self._pipe


def _serve(pipe: Connection) -> None:
    with Path(os.devnull).open("w") as nowhere:  # TensorRT's libraries print what its logger tells as well
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    with suppress(EOFError):
        while True:
            function, arguments = pipe.recv()
            pipe.send(function(*arguments))


def _by_c10(onnx_path: Path, precision: Precision, profiles: tuple[OptimizationProfile, ...]) -> Outcome:
    import tensorrt_rtx

    from c10.runtimes.child.build import build_engine
    from c10.runtimes.child.worker import MessageStream
    from c10.runtimes.messages import CompileJob

    output = onnx_path.with_suffix(".engine")
    config = BuildConfig(precision=precision, profiles=profiles)
    job = CompileJob("rtx", tensorrt_rtx.__version__, onnx_path, config, output)
    with Path(os.devnull).open("w") as nowhere:
        try:
            build_engine(job, MessageStream(nowhere))
        except (EngineBuildError, PublishError, SourceError, ConfigError) as error:
            about = error.message.removeprefix(f"{onnx_path}: ")
            refused = about.startswith(_BY_PRECISION) or _NOTHING_TO_CONVERT in about
            return Outcome("refused" if refused else "failed", "; ".join([about, *getattr(error, "log", ())]))
        except Exception as error:  # noqa: BLE001  # a traceback at the user, of whatever kind
            return Outcome("raised", f"{type(error).__name__}: {error}")
    output.with_suffix(".engine.sha256").unlink(missing_ok=True)
    output.unlink()
    return Outcome("engine")


def _by_hand(onnx_path: Path, feeds: Mapping[str, np.ndarray[Any, Any]]) -> Outcome:
    import tensorrt_rtx as trt

    said: list[str] = []
    builder = trt.Builder(_logger(trt, said))
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, _logger(trt, said))
    profiles: tuple[OptimizationProfile, ...] = ()
    memory = None
    try:
        if parser.parse_from_file(str(onnx_path)):
            profiles = _profiles(network, feeds)
            config = builder.create_builder_config()
            for profile in profiles:
                config.add_optimization_profile(_set(builder.create_optimization_profile(), network, profile))
            memory = builder.build_serialized_network(network, config)
    except Exception as error:  # noqa: BLE001  # the binding's errors share no base
        said.append(f"{type(error).__name__}: {error}")
    return Outcome("failed" if memory is None else "engine", "; ".join(said), profiles)


def _profiles(network: Any, feeds: Mapping[str, np.ndarray[Any, Any]]) -> tuple[OptimizationProfile, ...]:
    """Return the one profile that fits the test's inputs; none where every shape is fixed."""
    inputs: dict[str, ShapeRange] = {}
    for tensor in (network.get_input(index) for index in range(network.num_inputs)):
        if tensor.is_shape_tensor:
            inputs[tensor.name] = ShapeRange.fixed(tuple(int(value) for value in feeds[tensor.name].flat))
        elif _FREE in tensor.shape:
            inputs[tensor.name] = ShapeRange.fixed(feeds[tensor.name].shape)
    return (OptimizationProfile.of(inputs),) if inputs else ()


def _set(profile: Any, network: Any, wanted: OptimizationProfile) -> Any:
    shape_tensors = {t.name for t in (network.get_input(i) for i in range(network.num_inputs)) if t.is_shape_tensor}
    for name, shapes in wanted.inputs:
        if name in shape_tensors:
            profile.set_shape_input(name, list(shapes.min), list(shapes.opt), list(shapes.max))
        else:
            profile.set_shape(name, shapes.min, shapes.opt, shapes.max)
    return profile


def _logger(trt: Any, said: list[str]) -> Any:
    class Logger(trt.ILogger):  # type: ignore[misc] # the base is known once TensorRT is imported
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in {self.INTERNAL_ERROR, self.ERROR}:
                said.append(message)

    return Logger()
