"""Engine digests, hashed ahead on all cores.

doit asks about one engine after the other; hashing releases the interpreter's lock, so the ones it will ask
about are hashed meanwhile. A result is handed out once, and only for a file that is still as it was hashed.
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

#: Bytes. To hand a smaller file to another thread and back costs more than to hash it.
_WORTH_A_THREAD: Final = 1 << 20


class DigestAhead:
    """Answers with the digest of an engine's bytes as they are at the moment of the question."""

    def __init__(self) -> None:
        self._ahead: dict[Path, Future[FileDigest]] = {}
        self._seconds: dict[Path, float] = {}

    def prefetch(self, engine_paths: Iterable[Path]) -> None:
        """Start to hash those of these files that are worth it, the largest first: one file cannot use two cores."""
        sizes: dict[Path, int] = {}
        for path in engine_paths:
            with suppress(OSError):  # what is not there, or not to be read, is told in words when it is asked for
                sizes[path] = path.stat().st_size
        paths = sorted((path for path, size in sizes.items() if size >= _WORTH_A_THREAD), key=lambda p: -sizes[p])
        if not paths:
            return
        from concurrent.futures import ThreadPoolExecutor  # `doit list` hashes nothing

        pool = ThreadPoolExecutor(min(len(paths), len(os.sched_getaffinity(0))), thread_name_prefix="c10-verify")
        self._ahead |= {path: pool.submit(self._measured, path) for path in paths}
        pool.shutdown(wait=False)

    def digest(self, engine_path: Path) -> FileDigest:
        """Return the digest, from ahead or read now. Raises OSError."""
        future = self._ahead.pop(engine_path, None)
        if future is None:
            return self._measured(engine_path)
        with suppress(OSError):  # what was there then says nothing of what is there now
            ahead = future.result()
            if ahead.is_of(FileStamp.of(engine_path.stat())):
                return ahead
        return self._measured(engine_path)

    def seconds(self, engine_path: Path) -> float:
        """Return how long the last hash of this engine took."""
        return self._seconds.get(engine_path, 0.0)

    def _measured(self, path: Path) -> FileDigest:
        started = time.perf_counter()
        digest = digest_file(path)
        self._seconds[path] = time.perf_counter() - started
        return digest

    def forget(self) -> None:
        """Drop what was hashed and not asked for."""
        for future in self._ahead.values():
            future.cancel()
        self._ahead.clear()
