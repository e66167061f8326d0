"""Fixtures of the whole suite: the corpus of ACCEPTANCE.md, and the two ways to run it."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import Corpus, Driver
from hypothesis import settings

# Shared machines stall: Hypothesis counts examples here, never milliseconds.
settings.register_profile("c10", deadline=None)
settings.load_profile("c10")


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Three backbones, sm 87, jp 6.2, trt 10.3, fp16, and a fake runtime."""
    return Corpus(tmp_path / "checkout").write()


@pytest.fixture(params=["doit", "EngineCompiler"])
def driver(request: pytest.FixtureRequest) -> Driver:
    """Each row of ACCEPTANCE.md holds both ways."""
    way: Driver = request.param
    return way
