"""The real runtime of this machine, and light graphs for it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from c10.host import HostCapabilities, probe_host
from c10.runtimes.isolated import IsolatedRuntime


@pytest.fixture(scope="session")
def rtx_host() -> HostCapabilities:
    """This machine, with TensorRT-RTX."""
    return probe_host(gpu=False)


@pytest.fixture
def rtx(rtx_host: HostCapabilities) -> IsolatedRuntime:
    """TensorRT-RTX in a child process, as `doit engines` uses it."""
    return IsolatedRuntime("rtx", rtx_host)


@pytest.fixture(scope="session")
def light() -> Path:
    """The folder of the onnx package's reference graphs."""
    spec = find_spec("onnx")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0], "backend", "test", "data", "light")
