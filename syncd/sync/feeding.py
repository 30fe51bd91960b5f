"""The pages of all streams of a step, in order; of a connector that many threads may use, the next
ones are asked for while somebody is busy with one.

    connector -> pages and endings of its streams -> at most AHEAD of them wait -> reading
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from syncd.connectors.base import Page, Stream
from syncd.errors import AccessLost, PermissionDenied

if TYPE_CHECKING:
    from syncd.sync.step import Step

T = TypeVar("T")
AHEAD = 2
"""So much is asked for before it is wanted: the end of a stream, and what comes first after it."""

Told = Page | PermissionDenied | AccessLost | None
"""A page; why a stream may not be read, or not to its end; or that it has ended."""


class Feed:
    """What the connector tells. `streams`: those that are still to be read, in their order, the
    first of them from where a read broke off, if it can go on there.
    """

    def __init__(self, step: Step, streams: Sequence[Stream]) -> None:
        told = _tell(step, streams)
        self._told = ahead(told) if step.connector.serves_all else told

    def pages(self) -> Iterator[Page]:
        """The pages of the stream whose turn it is; raises what its connector raises."""
        for told in self._told:
            if told is None:
                return
            if not isinstance(told, Page):
                raise told
            yield told

    def close(self) -> None:
        """Ask for nothing more."""
        self._told.close()


def _tell(step: Step, streams: Sequence[Stream]) -> Generator[Told]:
    resume = step.broken_off.resume if step.broken_off else None
    for stream in streams:
        try:
            yield from step.connector.read(stream, step.partition, step.cursor(stream), resume)
        except (PermissionDenied, AccessLost) as denied:
            yield denied
        else:
            yield None
        resume = None


class _Over:
    """That nothing comes any more."""


_OVER = _Over()


def ahead(items: Iterator[T], most: int = AHEAD, *, patient: bool = False) -> Generator[T]:
    """The same, each asked for by a thread of its own before it is wanted, `most` of them at a
    time; an error in its turn. `patient`: whoever wants no more waits until that thread has ended.
    """
    helper = ThreadPoolExecutor(1)
    asked: deque[Future[T | _Over]] = deque()
    try:
        while True:
            while len(asked) <= most:
                asked.append(helper.submit(next, items, _OVER))
            one = asked.popleft().result()
            if isinstance(one, _Over):
                return
            yield one
    finally:
        helper.shutdown(wait=patient, cancel_futures=True)
