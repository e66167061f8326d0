"""The protocol of a compiler, the choice between the built-in ones, and the parent's side of a compile.

The compile itself runs in a child process, in ``child``.
"""

from c10.runtimes.protocol import BuildProgress, CompileEngineCallable, EngineCacheEntry, ProgressCallback

__all__ = ["BuildProgress", "CompileEngineCallable", "EngineCacheEntry", "ProgressCallback"]
