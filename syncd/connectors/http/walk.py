"""Following a provider from page to page, and noticing when that leads nowhere."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import TypeVar

from syncd.connectors.http.answers import Answer
from syncd.errors import Refused

T = TypeVar("T")
MOST_PAGES = 200_000
"""Of one stream: twenty million records at a hundred a page."""


def walk(
    first: str,
    ask: Callable[[str], Answer],
    read: Callable[[Answer], tuple[T, str | None]],
    most: int | None = None,
) -> Iterator[T]:
    """What `read` makes of each answer, page after page; it also tells the link of the next one, or
    None at the end. Refused for a link that was followed before, and for pages without end: to go
    on from the last page, as after other faults, would be to walk in circles.
    """
    seen: set[bytes] = set()
    most = most or MOST_PAGES
    link: str | None = first
    while link is not None:
        mark = hashlib.blake2b(link.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if mark in seen:
            raise Refused("a page leads back to one that was read already: a loop")
        seen.add(mark)
        if len(seen) > most:
            raise Refused(f"there are more than {most:,} pages, and no end of them")
        page, link = read(ask(link))
        yield page
