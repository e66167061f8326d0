"""The shortest script that does what c10 does cold: parse, build, write, make durable. `ONNX OUTPUT`."""

import os
import sys
from pathlib import Path

import tensorrt_rtx as trt

logger = trt.Logger(trt.Logger.ERROR)
builder = trt.Builder(logger)
network = builder.create_network(0)
parser = trt.OnnxParser(network, logger)
if not parser.parse_from_file(sys.argv[1]):
    sys.exit(str(parser.get_error(0)))
config = builder.create_builder_config()
config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, 4096 << 20)  # c10's default: the engines are the same bytes
engine = builder.build_serialized_network(network, config)
path = Path(sys.argv[2])
with path.open("wb") as file:
    file.write(engine)
    file.flush()
    os.fsync(file.fileno())
directory = os.open(path.parent, os.O_RDONLY)
os.fsync(directory)
os.close(directory)
