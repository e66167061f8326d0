"""The compilers behind one protocol. Only modules in here import tensorrt, tensorrt_rtx or onnx, and only in
the compiling child.
"""

from c10.runtimes.protocol import BuildProgress, CompileEngineCallable, EngineCacheEntry, ProgressCallback

__all__ = ["BuildProgress", "CompileEngineCallable", "EngineCacheEntry", "ProgressCallback"]
