"""Revision numbers for c10's own influence on an engine. They are part of the build key.

Raise ``CONVERTER_REVISION`` when the converter's output changes for any input: the type of a value, a node kept in
fp32, a cast. Only the keys of converted networks contain it, so engines of unconverted networks stay reusable.

Raise a runtime's entry in ``CONFIGURE_REVISIONS`` when c10 configures that builder differently for the same options: a
builder flag, limit, profile or network flag. The key of every engine of that runtime contains it. Raise it also when
c10 converts a different set of networks, or renames different dimensions in networks that it does not convert, because
the keys of unconverted networks contain no other revision.

Do not raise either for changes of messages or speed, or of what is refused. The golden files in tests/golden hold the
behaviour of each revision; the tests that compare with them fail when a revision must be raised.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from c10.corpus.runtimes import RUNTIME_OF

CONVERTER_REVISION: Final = 1
#: By runtime. Each begins with 1; to raise one, add its entry after these.
CONFIGURE_REVISIONS: Final[Mapping[str, int]] = {**dict.fromkeys(RUNTIME_OF, 1)}
