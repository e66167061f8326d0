"""The user's samples: `.npz` files with an array for each input of the model."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from c10.errors import ConfigError, SourceError
from c10.files.digest import digest_file, open_regular
from c10.files.remedies import to_read
from c10.measurement.inputs import Feeds, ModelInput, fault_of, within_a_profile

if TYPE_CHECKING:
    from c10.corpus.spec import OptimizationProfile

_FORM: Final = "A sample is one file of numpy.savez(path, **inputs), with an array for each input of the model."


@dataclass(frozen=True, slots=True)
class Samples:
    """The files of a corpus of samples, as they were when they were hashed."""

    folder: Path
    """Where the names start."""
    names: tuple[str, ...]
    """The files, relative to ``folder`` and with ``/`` in between, sorted."""
    sha256: str
    """Of a line for each file, in the form of `sha256sum`: the digest of its content, two spaces, its name."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files, in the order of the names."""
        return tuple(self.folder / name for name in self.names)


def find_samples(folder: Path, pattern: str) -> Samples:
    """Return the files that match a pattern such as ``samples/*.npz``, relative to ``folder``.

    Raises ConfigError if the pattern is absolute or matches no file, and SourceError for a file that cannot be read.
    """
    if not pattern or Path(pattern).is_absolute():
        raise ConfigError(
            f"check.inputs: expected a pattern relative to {folder}, got {pattern!r}",
            remedy='Write it as in inputs = "samples/*.npz".',
        )
    found = sorted({os.path.relpath(path, folder) for path in folder.glob(pattern) if not path.is_dir()})
    if not found:
        raise ConfigError(
            f"check.inputs: expected files that match {pattern!r} in {folder}, got none",
            remedy=f"Put samples there, or correct the pattern. {_FORM}",
        )
    return samples_of(folder, found)


def samples_of(folder: Path, names: Iterable[str]) -> Samples:
    """Return these files, which are relative to ``folder``. Raises SourceError for one that cannot be read."""
    ordered = tuple(sorted(names))
    return Samples(folder, ordered, _of_lines([f"{_sha256(folder / name)}  {name}\n" for name in ordered]))


def read_samples(
    samples: Samples, inputs: tuple[ModelInput, ...], profiles: tuple[OptimizationProfile, ...]
) -> Iterator[Feeds]:
    """Yield the arrays of each file, checked against the model's inputs.

    Raises SourceError, naming file and key, for a file that cannot be read or does not fit, and after the last one if
    a file is not what it was when it was hashed.
    """
    lines = []
    for name, path in zip(samples.names, samples.paths, strict=True):
        content = _content(path)
        lines.append(f"{hashlib.sha256(content).hexdigest()}  {name}\n")
        yield _checked(path, _arrays(path, content), inputs, profiles)
    if _of_lines(lines) != samples.sha256:
        raise SourceError(
            f"{samples.folder}: expected samples that stay as they are during a build, got ones that were changed",
            remedy="Run the build again once nothing writes to them.",
        )


def _checked(
    path: Path, feeds: Feeds, inputs: tuple[ModelInput, ...], profiles: tuple[OptimizationProfile, ...]
) -> Feeds:
    wanted = {value.name: value for value in inputs}
    for name in (name for name in wanted if name not in feeds):
        raise _misfit(path, name, "an array for this input of the model", f"none among {', '.join(sorted(feeds))}")
    for name, array in feeds.items():
        if name not in wanted:
            raise _misfit(path, name, f"one of the model's inputs ({', '.join(wanted)})", "a name that is none")
        if fault := fault_of(wanted[name], array):
            raise _misfit(path, name, *fault)
    if outside := within_a_profile(inputs, feeds, profiles):
        raise _misfit(path, *outside)
    return feeds


def _misfit(path: Path, name: str, expected: str, found: str) -> SourceError:
    return SourceError(f"{path}: {name}: expected {expected}, got {found}", remedy=_FORM)


def _arrays(path: Path, content: bytes) -> Feeds:
    import numpy as np

    try:
        arrays = np.load(io.BytesIO(content), allow_pickle=False)
        if isinstance(arrays, np.ndarray):
            raise SourceError(f"{path}: expected an .npz file of numpy, got a single array", remedy=_FORM)
        return {name: arrays[name] for name in arrays.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
        raise SourceError(
            f"{path}: expected an .npz file of numpy, got one that fails: {error}", remedy=_FORM
        ) from error


def _content(path: Path) -> bytes:
    try:
        with open(open_regular(path), "rb") as file:  # noqa: PTH123 - a descriptor, not a path
            return file.read()
    except OSError as error:
        raise _unreadable(path, error) from error


def _sha256(path: Path) -> str:
    try:
        return digest_file(path).sha256
    except OSError as error:
        raise _unreadable(path, error) from error


def _of_lines(lines: list[str]) -> str:
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _unreadable(path: Path, error: OSError) -> SourceError:
    remedy = to_read(error, "Put the sample there, or correct check.inputs.")
    return SourceError(f"{path}: expected a readable sample, got {error.strerror or error}", remedy=remedy)
