"""Text made comparable, one by one and many at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from syncd.text import all_usable_keys, fold, fold_all, usable_key

texts = st.lists(
    st.one_of(
        st.text(), st.sampled_from(["Ada@X.example", "a b", " a", "", "ß", "A\nB", "\0", "x" * 401])
    )
)


@given(texts)
def test_folding_many_is_folding_each(values: list[str]) -> None:
    assert fold_all(values) == [fold(value) for value in values]


@given(st.lists(st.sampled_from(["A@X.example", "b", "C-1"])))
def test_plain_texts_are_folded_alike(values: list[str]) -> None:
    assert fold_all(values) == [value.lower() for value in values]


@given(texts)
def test_many_keys_are_usable_if_each_is(keys: list[str]) -> None:
    assert all_usable_keys(keys) == all(usable_key(key) for key in keys)
