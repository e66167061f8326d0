"""The build key: the fast way to canonical JSON gives RFC 8785's own bytes."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from c10.proof.definition import build_key

INTEGERS = st.integers(-(2**53) + 1, 2**53 - 1)
TEXT = st.one_of(st.text(st.characters(codec="ascii")), st.text())
VALUES = st.recursive(
    st.none() | st.booleans() | INTEGERS | TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=20,
)


@given(st.dictionaries(TEXT, VALUES, max_size=5))
@example({"\ue000": 1, "\U00010000": 2})  # UTF-16 puts them the other way round
@example({"b": '\x00\x08\t\n\x0c\r\x1f"\\/\x7f', "a": [True, None, -1]})
@example({"input": {"é": 1, "z": 2}})
def test_it_is_the_digest_of_the_rfc_s_own_form(definition: dict[str, Any]) -> None:
    assert build_key(definition) == hashlib.sha256(rfc8785.dumps(definition)).hexdigest()


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_is_no_json_has_no_key(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        build_key({"a": number})
