"""Comparing what millions of records claim by 8-byte hashes, in memory that stays small.

Python's own hashes: quick, and safe from anybody who would like two of them to be equal, because
they are salted for each process. They mean nothing outside of it.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence

BUCKET = 200_000
BUCKETS = 32
"""More hashes than BUCKET are compared bucket by bucket, which bounds the memory for millions."""


def missing(keys: Sequence[str], seen: array[int]) -> list[str]:
    """Which of the keys are not among the seen hashes; needs memory for the keys alone."""
    pending = set(map(hash, keys))
    pending.difference_update(seen)
    return [key for key in keys if hash(key) in pending] if pending else []


def repeated(pages: Iterable[array[int]]) -> set[int]:
    """The hashes that stand more than once in all pages, in memory for 8 bytes of each."""
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
