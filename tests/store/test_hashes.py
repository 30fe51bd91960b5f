"""Comparing what millions of records claim, a part of it at a time."""

from __future__ import annotations

from array import array
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.store import hashes
from syncd.store.hashes import missing, repeated

pages = st.lists(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3)))


@pytest.mark.parametrize("most", [1, 4, 1000])
@pytest.mark.parametrize("bucket", [0, 3, 1000])
@given(held=pages)
def test_what_stands_twice_is_found_however_many_fit_into_memory(
    bucket: int, most: int, held: list[list[int]]
) -> None:
    counts = Counter(one for page in held for one in page)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(hashes, "BUCKET", bucket)
        patched.setattr(hashes, "MOST", most)
        found = repeated(lambda: (array("q", page) for page in held), sum(map(len, held)))
    assert found == {one for one, count in counts.items() if count > 1}


@given(st.sets(st.text()), st.sets(st.text()))
def test_what_was_not_seen_is_missing_in_its_order(keys: set[str], seen: set[str]) -> None:
    asked = sorted(keys)
    assert missing(asked, array("q", map(hash, seen))) == [key for key in asked if key not in seen]
