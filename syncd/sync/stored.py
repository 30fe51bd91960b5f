"""Reading again what is stored, in the place of a connector: no provider is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from syncd.changes import Overrun
from syncd.connectors.base import Connector, Deletes, Page, Partition, RawItem, Stream
from syncd.store import items
from syncd.sync.engine import Engine

Pages = Callable[[str], Iterator[Sequence[RawItem]]]
"""The stored items of a stream by its name, a page at a time."""


class Stored:
    """Stands in for a connector: its streams, with `pages` of what they said before. Who is not
    among them is not absent: stored items prove nothing about that.
    """

    serves_all = False

    def __init__(self, connector: Connector[Any], pages: Pages) -> None:
        self._connector = connector
        self._pages = pages

    def check(self) -> None:
        """Nobody is asked, so that nobody can refuse."""

    def streams(self) -> list[Stream]:
        """Those of the connector: their items are parsed as ever."""
        return self._connector.streams()

    def holds(self, _stream: Stream) -> bool:
        """Something of every stream may be stored."""
        return True

    def coverage(self, _stream: Stream) -> None:
        """Nobody is absent, so that it does not matter."""

    def doubts(self) -> Sequence[Overrun]:
        """What is stored was applied before."""
        return ()

    def health(self, _partition: Partition) -> None:
        """Nobody was asked."""

    def deletes(self, _stream: Stream) -> Deletes:
        """Nothing is evidence of absence."""
        return Deletes.UNKNOWN

    def read(
        self,
        stream: Stream,
        _partition: Partition,
        _cursor: str | None,
        _resume: str | None = None,
    ) -> Iterator[Page]:
        """The pages of one stream."""
        return map(Page, self._pages(stream.name))


def instead(engine: Engine, reads: Callable[[Engine, str, int], Stored]) -> Engine:
    """The engine, with steps that read what is stored: `reads` of it. No provider is asked."""
    return replace(engine, reads=reads, proves=False)


def all_items(engine: Engine, name: str, partition: int) -> Stored:
    """Everything that a full read of the partition would hold if nothing had changed since: of an
    item in quarantine what it says there, which is newer than what its link remembers.
    """
    most = engine.settings.engine.page_size

    def pages(stream: str) -> Iterator[Sequence[RawItem]]:
        for among in (items.standing, items.set_aside):
            for found in among(engine.database, partition, stream, most):
                yield [RawItem(*item) for item in found]

    return Stored(engine.connector(name), pages)
