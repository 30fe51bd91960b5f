"""What one record says about its entity, under the rules of its mapping."""

from __future__ import annotations

from dataclasses import dataclass

from syncd.mapping.casts import Notice

Value = str | bool


@dataclass(slots=True)
class Mapped:
    """What one record says about its entity."""

    values: dict[str, Value]
    """Target to clean, non-blank value; dates as `YYYY-MM-DD`, custom fields as `custom.NAME`."""
    cleared: tuple[str, ...] = ()
    """Targets that become blank."""
    notices: tuple[Notice, ...] = ()
    in_scope: bool = True
    site_name: str | None = None
    """Persons: the name of the site, where the mapping takes it from the person's record."""
