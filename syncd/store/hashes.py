"""Comparing what millions of records claim by 8-byte hashes, in memory that stays small.

Python's own hashes: quick, and safe from anybody who would like two of them to be equal, because
they are salted for each process. They mean nothing outside of it.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

BUCKET = 200_000
BUCKETS = 32
"""More hashes than BUCKET are compared bucket by bucket: a set takes ten times their memory."""
MOST = 1_000_000
"""Hashes that are held at a time, in 8 bytes each."""


def missing(keys: Sequence[str], seen: array[int]) -> list[str]:
    """Which of the keys are not among the seen hashes; needs memory for the keys alone."""
    pending = set(map(hash, keys))
    pending.difference_update(seen)
    return [key for key in keys if hash(key) in pending] if pending else []


def repeated(pages: Callable[[], Iterable[array[int]]], count: int) -> set[int]:
    """The hashes that stand more than once in all pages, of which there are `count`. More than MOST
    are looked at in turns, a part of them each time, which bounds the memory however many they are.
    """
    turns = count // MOST | 1  # odd, so that each turn spreads over all buckets
    if turns == 1:
        return _repeated_in(pages())
    found: set[int] = set()
    for turn in range(turns):
        some = (array("q", [one for one in page if one % turns == turn]) for page in pages())
        found |= _repeated_in(some)
    return found


def _repeated_in(pages: Iterable[array[int]]) -> set[int]:
    few, many = array("q"), [array("q") for _ in range(BUCKETS)]
    for page in pages:
        few.extend(page)
        if len(few) > BUCKET:
            _sort_out(few, many)
            few = array("q")
    if not any(many):
        return _repeated_among(few)
    _sort_out(few, many)
    found: set[int] = set()
    while many:
        found |= _repeated_among(many.pop())
    return found


def _sort_out(hashes: array[int], buckets: list[array[int]]) -> None:
    for one in hashes:
        buckets[one % BUCKETS].append(one)


def _repeated_among(hashes: Sequence[int]) -> set[int]:
    if len(set(hashes)) == len(hashes):
        return set()
    return {one for one, count in Counter(hashes).items() if count > 1}
