"""The items of a sheet that was read for another reason, kept until their own turn comes.

Who gathers the clients and sites of a sheet has read every row of it before the first user may be
told; reading the file again would cost as much as all else about it.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from typing import NamedTuple

import msgspec

from syncd.connectors.base import RawItem
from syncd.records import Reject

IN_MEMORY = 8 << 20
"""Bytes; more than these go to a temporary file without a name."""


class Portion(NamedTuple):
    """One page of a sheet."""

    items: list[RawItem]
    rejects: list[Reject]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Portion).decode


class Spool:
    """The pages of one sheet, written once and read in the same order any number of times."""

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115  # by the finalizer
        weakref.finalize(self, self._file.close)  # a connector is let go without a word
        self._sizes: list[int] = []
        self.count = 0
        """Items and rejects in all pages."""

    def add(self, page: Portion) -> None:
        """Keep a page."""
        packed = _encode(page)
        self._file.write(packed)
        self._sizes.append(len(packed))
        self.count += len(page.items) + len(page.rejects)

    def pages(self) -> Iterator[Portion]:
        """The pages, one in memory at a time."""
        at = 0
        for size in self._sizes:
            self._file.seek(at)
            yield _decode(self._file.read(size))
            at += size
