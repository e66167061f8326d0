"""The two revisions of what c10 itself does to an engine. They are part of the build key.

Raise ``CONVERTER_REVISION`` when the converter writes another network than before for any input: another type
of a value, another node kept in fp32, another cast. It is in the keys of converted networks alone, so engines
whose network was taken as it is stay reusable.

Raise a runtime's entry in ``CONFIGURE_REVISIONS`` when c10 tells that builder something else than before for
the same options: another flag, limit, profile or network flag. It is in the key of every engine of that runtime.
Raise it also when c10 converts another set of networks, or renames other dimensions of those that it does not
convert: the keys of unconverted networks have no other revision.

Leave both alone for changes of messages, of speed, or of what is refused. Golden files in tests/golden hold what
each revision does; the tests that compare with them say when a revision has to be raised.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

CONVERTER_REVISION: Final = 1
#: By runtime: trt (TensorRT 10.x and 11.x), rtx (TensorRT-RTX).
CONFIGURE_REVISIONS: Final[Mapping[str, int]] = {"trt": 1, "rtx": 1}
