"""Raw items, and the digests by which one is known to be as it was."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(slots=True)
class Item:
    """A raw item on its way: its key, its bytes, and their digest by `digests`."""

    key: str
    raw: bytes
    digest: bytes


def digests(meaning: bytes, raws: Iterable[bytes]) -> list[bytes]:
    """A digest of each raw item and of all that decides what it means, 16 bytes each.

    SHA-256, cut: processors have instructions for it, and for no other that is as safe.
    """
    sha256 = hashlib.sha256
    return [sha256(meaning + raw).digest()[:16] for raw in raws]
