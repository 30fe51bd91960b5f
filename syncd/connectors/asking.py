"""What a connector may ask of the person who connects it: how it is shown is not its business."""

from __future__ import annotations

from enum import StrEnum, auto
from typing import Protocol


class Manner(StrEnum):
    """How the person signs in."""

    BROWSER = auto()  # on this machine
    CODE = auto()  # on any other, with a code


class Asking(Protocol):
    """A person at a terminal."""

    @property
    def manner(self) -> Manner:
        """How they would like to sign in."""

    def tell(self, sentence: str, /) -> None:
        """Say something."""

    def open(self, url: str, /) -> None:
        """Have them open a page."""

    def secret(self, what: str, /) -> str:
        """Ask for something that nobody else is to see."""
