"""Groups of commands that are themselves a list: `syncd users ada` beside `syncd users set …`."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

_DEFAULT = "list"


class Searchable(TyperGroup):
    """A group whose command `list` may be left out."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `list` before anything that is not the name of a command."""
        first = args[0] if args else None
        if first not in self.commands and first != "--help":
            args = [_DEFAULT, *args]
        return super().parse_args(ctx, args)
