"""What one run shares between its engines. Two runs in one process have one each and share nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from c10.console.progress import ProgressChannel
from c10.files.ahead import DigestAhead
from c10.files.digest import FileDigest
from c10.files.publish import SettledFolders
from c10.proof.sources import SourceDigests


class RunState:
    """The state of one run. ``clock`` returns nanoseconds since the epoch."""

    sources: SourceDigests
    """Digests of sources, each file hashed once."""
    engines: DigestAhead
    """Engines that are hashed ahead."""
    progress: ProgressChannel
    """Where running builds say how far they are; closed until somebody opens it to listen."""
    settled: SettledFolders
    """The folders whose renames this run has made durable."""

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        self.sources = SourceDigests(clock=clock)
        self.engines = DigestAhead()
        self.progress = ProgressChannel()
        self.settled = SettledFolders()

    def engine_digest(self, engine_path: Path) -> FileDigest:
        """Return the digest of an engine's bytes as they are now. Raises OSError.

        An image has engines as its file_dep: it takes the digest from the sources and does not read them again.
        """
        digest = self.engines.digest(engine_path)
        self.sources.note(engine_path, digest)
        return digest
