"""Engine digests, hashed ahead on all cores.

doit checks one engine after another. Hashing releases the interpreter's lock, so later engines are hashed on other
cores in the meantime. Each result is returned once, and only if the file has not changed since.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from c10.files.digest import FileDigest, FileStamp, digest_file

if TYPE_CHECKING:
    from concurrent.futures import Future

#: Bytes. Passing a smaller file to another thread costs more than hashing it.
_WORTH_A_THREAD: Final = 1 << 20


class DigestAhead:
    """Returns the digest of an engine's current bytes, computed ahead if possible."""

    def __init__(self) -> None:
        self._ahead: dict[Path, Future[FileDigest]] = {}
        self._seconds: dict[Path, float] = {}

    def prefetch(self, engine_paths: Iterable[Path]) -> None:
        """Start hashing the files of 1 MiB or more, largest first, because one file cannot use two cores."""
        sizes: dict[Path, int] = {}
        for path in engine_paths:
            with suppress(OSError):  # ``digest`` raises the error of this file
                sizes[path] = path.stat().st_size
        paths = sorted((path for path, size in sizes.items() if size >= _WORTH_A_THREAD), key=lambda p: -sizes[p])
        if not paths:
            return
        from concurrent.futures import ThreadPoolExecutor  # `doit list` hashes nothing

        pool = ThreadPoolExecutor(min(len(paths), len(os.sched_getaffinity(0))), thread_name_prefix="c10-verify")
        self._ahead |= {path: pool.submit(self._measured, path) for path in paths}
        pool.shutdown(wait=False)

    def digest(self, engine_path: Path) -> FileDigest:
        """Return the digest, computed ahead or now. Raises OSError."""
        future = self._ahead.pop(engine_path, None)
        if future is None:
            return self._measured(engine_path)
        with suppress(OSError):  # an error of the earlier read may be gone: read again
            ahead = future.result()
            if ahead.is_of(FileStamp.of(engine_path.stat())):
                return ahead
        return self._measured(engine_path)

    def seconds(self, engine_path: Path) -> float:
        """Return how long the last hash of this engine took, in seconds; 0.0 if it was never hashed."""
        return self._seconds.get(engine_path, 0.0)

    def _measured(self, path: Path) -> FileDigest:
        started = time.perf_counter()
        digest = digest_file(path)
        self._seconds[path] = time.perf_counter() - started
        return digest

    def forget(self) -> None:
        """Drop the digests that nobody has requested, and cancel those not yet started."""
        for future in self._ahead.values():
            future.cancel()
        self._ahead.clear()
