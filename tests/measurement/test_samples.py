"""The user's samples: which files they are, their digest, and what is said of one that does not fit."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conversion.case import network

from c10.corpus.spec import OptimizationProfile, ShapeRange
from c10.errors import ConfigError, SourceError
from c10.measurement.inputs import inputs_of
from c10.measurement.samples import find_samples, read_samples

from .measuring import model_of

TEXT = "g (float[B,8] x, int64[2] ids) => (float[B,8] y) {y = Relu (x)}"
FITS: dict[str, Any] = {"x": np.ones((2, 8), np.float32), "ids": np.array([0, 1])}
PROFILE = OptimizationProfile.of({"x": ShapeRange((1, 8), (2, 8), (4, 8))})


def read(folder: Path, *profiles: OptimizationProfile) -> list[dict[str, Any]]:
    model = model_of(network(TEXT), folder)
    return list(read_samples(find_samples(folder, "*.npz"), inputs_of(model), profiles))


def test_the_files_of_a_pattern_are_found_in_order_and_hashed(tmp_path: Path) -> None:
    for name in ("b.npz", "a.npz", "c.txt"):
        (tmp_path / "samples").mkdir(exist_ok=True)
        (tmp_path / "samples" / name).write_bytes(name.encode())
    found = find_samples(tmp_path, "samples/*.npz")
    assert found.names == ("samples/a.npz", "samples/b.npz")
    assert found.paths[0] == tmp_path / "samples/a.npz"
    lines = "".join(f"{hashlib.sha256(n.encode()).hexdigest()}  samples/{n}\n" for n in ("a.npz", "b.npz"))
    assert found.sha256 == hashlib.sha256(lines.encode()).hexdigest()


def test_the_digest_follows_names_and_contents_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"1")
    before = find_samples(tmp_path, "*.npz").sha256
    os.utime(tmp_path / "a.npz", (1, 1))
    assert find_samples(tmp_path, "a*").sha256 == before
    (tmp_path / "a.npz").write_bytes(b"2")
    changed = find_samples(tmp_path, "*.npz").sha256
    (tmp_path / "a.npz").rename(tmp_path / "b.npz")
    assert len({before, changed, find_samples(tmp_path, "*.npz").sha256}) == 3


@pytest.mark.parametrize("pattern", ["", "/tmp/*.npz", "nothing/*.npz"])  # noqa: S108
def test_a_pattern_that_finds_nothing_is_refused(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(ConfigError, match=r"check\.inputs: expected"):
        find_samples(tmp_path, pattern)


def test_samples_that_fit_are_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **FITS)
    np.savez_compressed(tmp_path / "b.npz", **{**FITS, "x": np.zeros((4, 8), np.float32)})
    first, second = read(tmp_path, PROFILE)
    np.testing.assert_array_equal(first["ids"], [0, 1])
    assert second["x"].shape == (4, 8)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"x": None}, "x: expected an array for this input of the model, got none among ids"),
        ({"z": np.ones(1)}, r"z: expected one of the model's inputs \(x, ids\), got a name that is none"),
        ({"x": np.ones((2, 8))}, r"x: expected values of float32 \(array.astype\('float32'\)\), got float64"),
        ({"x": np.ones((2, 9), np.float32)}, r"x: expected the shape \[\?, 8\], got \[2, 9\]"),
        ({"x": np.ones((8,), np.float32)}, r"x: expected the shape \[\?, 8\], got \[8\]"),
        (
            {"x": np.ones((5, 8), np.float32)},
            r"x: expected a shape within the profile's \[1, 8\]…\[4, 8\], got \[5, 8\]",
        ),
    ],
)
def test_a_sample_that_does_not_fit_is_named_with_its_key(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    np.savez(tmp_path / "a.npz", **{name: value for name, value in {**FITS, **changes}.items() if value is not None})
    with pytest.raises(SourceError, match=rf"a\.npz: {words}"):
        read(tmp_path, PROFILE)


def test_a_sample_within_any_of_the_profiles_fits(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **{**FITS, "x": np.ones((9, 8), np.float32)})
    nine = OptimizationProfile.of({"x": ShapeRange.fixed((9, 8))})
    assert len(read(tmp_path, nine, PROFILE)) == len(read(tmp_path, PROFILE, nine)) == 1


def test_the_values_of_a_shape_input_are_checked_and_not_its_shape(tmp_path: Path) -> None:
    text = "g (float[8] x, int64[1] n) => (float[N] y) {z = Constant <value_ints = [0]> () y = Slice (x, z, n)}"
    model = model_of(network(text), tmp_path)
    profile = OptimizationProfile.of({"n": ShapeRange((0,), (4,), (8,))})
    for value, fits in ((8, True), (9, False)):
        np.savez(tmp_path / "a.npz", x=np.ones(8, np.float32), n=np.array([value]))
        samples = find_samples(tmp_path, "*.npz")
        if fits:
            assert len(list(read_samples(samples, inputs_of(model), (profile,)))) == 1
        else:
            with pytest.raises(SourceError, match=r"n: expected values within the profile's \[0\]…\[8\], got \[9\]"):
                list(read_samples(samples, inputs_of(model), (profile,)))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY", b"text"])
def test_a_file_that_is_no_npz_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(SourceError, match=r"a\.npz: expected an \.npz file of numpy"):
        read(tmp_path)


def test_a_single_array_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "a.npz").open("wb") as file:
        np.save(file, FITS["x"])
    with pytest.raises(SourceError, match=r"a\.npz: expected an \.npz file of numpy, got a single array"):
        read(tmp_path)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "evil"),)

    np.savez(tmp_path / "a.npz", **{**FITS, "x": np.array([Evil()], object)})
    with pytest.raises(SourceError, match=r"expected an \.npz file of numpy"):
        read(tmp_path)
    assert not (tmp_path / "evil").exists()


def test_samples_that_change_after_they_were_hashed_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **FITS)
    samples = find_samples(tmp_path, "*.npz")
    np.savez(tmp_path / "a.npz", **{**FITS, "ids": np.array([1, 1])})
    with pytest.raises(SourceError, match="expected samples that stay as they are"):
        list(read_samples(samples, inputs_of(model_of(network(TEXT), tmp_path)), ()))


def test_a_sample_that_is_gone_or_a_fifo_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.npz")
    with pytest.raises(SourceError, match=r"a\.npz: expected a readable sample"):
        find_samples(tmp_path, "*.npz")
