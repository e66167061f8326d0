"""The end of the way: an engine is loaded only where it is proved genuine, whole and made for this machine."""

import sys
from pathlib import Path

from c10 import VerificationError, load_engine

ENGINES = Path("/opt/navigation/engines")
KEYS = [Path("/etc/navigation/engines.pub.pem")]


def main() -> int:
    """Load each engine; a supervisor sees the exit status."""
    import tensorrt

    runtime = tensorrt.Runtime(tensorrt.Logger())
    for path in sorted(ENGINES.glob("*.engine")):
        try:
            buffer = load_engine(path, require_signature=True, trusted_keys=KEYS)
        except VerificationError as error:
            print(error, file=sys.stderr)
            return 1
        engine = runtime.deserialize_cuda_engine(buffer)
        print(f"{path.name}: {engine.num_io_tensors} inputs and outputs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
