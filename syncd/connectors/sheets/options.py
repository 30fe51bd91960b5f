"""The settings that say how a spreadsheet is to be read, each checked when it is written."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from syncd.connectors.sheets import encodings
from syncd.connectors.sheets.headings import looks_secret, squash, unknown_targets
from syncd.connectors.sheets.text_files import DELIMITERS


def _one_or_several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _usable_key(value: tuple[str, ...]) -> tuple[str, ...]:
    if secret := [heading for heading in value if looks_secret(heading)]:
        raise ValueError(f'"{secret[0]}" looks like a secret, which is never read')
    if len({squash(heading) for heading in value}) < len(value):
        raise ValueError("the same heading twice")
    return value


def _usable_delimiter(value: str) -> str:
    if value not in DELIMITERS:
        raise ValueError("must be a comma, a semicolon, a tab or a vertical bar")
    return value


def _usable_marker(value: str) -> str:
    if value != value.strip() or '"' in value or not value.isprintable():
        raise ValueError("must not hold quotes or line breaks, nor blanks at its ends")
    return value


def _known_headings(value: dict[str, str]) -> dict[str, str]:
    if unknown := unknown_targets(value):
        raise ValueError(f'"{unknown[0]}" is not a heading that syncd knows')
    for heading, target in value.items():
        if target and (looks_secret(heading) or looks_secret(target)):
            raise ValueError(f'"{heading}" looks like a secret, which is never read')
    return value


def _known_encoding(value: str) -> str:
    return encodings.named(value).codec


File = Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[^\x00]+$")]
Heading = Annotated[str, Field(min_length=1, max_length=200)]
Key = Annotated[
    tuple[Heading, ...],
    BeforeValidator(_one_or_several),
    AfterValidator(_usable_key),
    Field(min_length=1),
]
Client = Annotated[str, Field(min_length=1)]
Encoding = Annotated[str, Field(max_length=30), AfterValidator(_known_encoding)]
Delimiter = Annotated[str, Field(min_length=1, max_length=1), AfterValidator(_usable_delimiter)]
Worksheet = Annotated[str, Field(min_length=1, max_length=100)]
Marker = Annotated[str, Field(min_length=1, max_length=50), AfterValidator(_usable_marker)]
Headings = Annotated[dict[Heading, str], AfterValidator(_known_headings)]
