"""Engine digests, hashed ahead on all cores. May import digest.

doit asks about one engine after the other; hashing releases the interpreter's lock, so the ones it will ask
about are hashed meanwhile. A result is handed out once, and only for a file that is still as it was hashed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from c10.digest import FileDigest, FileSignature, digest_file


class EngineVerifier:
    """Answers with the digest of an engine's bytes as they are at the moment of the question."""

    def __init__(self) -> None:
        self._ahead: dict[Path, Future[FileDigest]] = {}
        self._seconds: dict[Path, float] = {}

    def prefetch(self, engine_paths: Iterable[Path]) -> None:
        """Start to hash these files, in this order."""
        paths = list(engine_paths)
        if not paths:
            return
        pool = ThreadPoolExecutor(min(len(paths), os.cpu_count() or 1), thread_name_prefix="c10-verify")
        self._ahead |= {path: pool.submit(self._measured, path) for path in paths}
        pool.shutdown(wait=False)

    def digest(self, engine_path: Path) -> FileDigest:
        """Return the digest, from ahead or read now. Raises OSError."""
        future = self._ahead.pop(engine_path, None)
        if future is None:
            return self._measured(engine_path)
        ahead = future.result()
        if FileSignature.of(engine_path.stat()) != ahead.signature:
            return self._measured(engine_path)
        return ahead

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
