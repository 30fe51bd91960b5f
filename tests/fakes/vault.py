"""A vault in memory, of one test alone."""

from __future__ import annotations

from dataclasses import dataclass

from syncd.connectors.grants import Held


@dataclass
class MemoryVault:
    """Nobody else renews what it holds."""

    held: Held | None = None

    def read(self) -> Held | None:
        return self.held

    def claim(self, version: int, /) -> bool:
        return True

    def unclaim(self, version: int, /) -> None:
        pass

    def replace(self, version: int, content: object, /) -> bool:
        self.held = Held(version + 1, dict(content))  # type: ignore[call-overload]
        return True
