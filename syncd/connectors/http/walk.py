"""Following a provider from page to page, and noticing when that leads nowhere."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import TypeVar

from syncd.connectors.http.answers import Answer
from syncd.errors import BadResponse

T = TypeVar("T")
MOST_PAGES = 200_000
"""Of one stream: twenty million records at a hundred a page."""


def walk(
    first: str,
    ask: Callable[[str], Answer],
    read: Callable[[Answer], tuple[T, str | None]],
    most: int = MOST_PAGES,
) -> Iterator[T]:
    """What `read` makes of each answer, page after page; it also tells the link of the next one, or
    None at the end. BadResponse for a link that was followed before, and for pages without end.
    """
    seen: set[bytes] = set()
    link: str | None = first
    while link is not None:
        mark = hashlib.blake2b(link.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if mark in seen:
            raise BadResponse("a page leads back to one that was read already: a loop")
        seen.add(mark)
        if len(seen) > most:
            raise BadResponse(f"there are more than {most:,} pages, and no end of them")
        page, link = read(ask(link))
        yield page
