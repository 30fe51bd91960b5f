"""What is declared about dropped files: by the connection, by a file's name, by its manifest.

The more particular declaration wins, setting by setting. Nothing of it is guessed: a file of which
nobody said whether it is a full list is refused.
"""

from __future__ import annotations

import tomllib
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field, ValidationError

from syncd.connectors import base
from syncd.connectors.sheets import options
from syncd.connectors.sheets.files import open_regular
from syncd.connectors.sheets.headings import Kind, squash
from syncd.errors import BadResponse

KINDS = {"clients": Kind.CLIENT, "sites": Kind.SITE, "users": Kind.USER}
MANIFEST = ".toml"
"""The suffix of a manifest, after the whole name of its file: people.csv.toml."""
MAX_MANIFEST = 1 << 16


class Declared(base.Config):
    """What may be said of a file; None where nothing is said."""

    contents: Literal["full", "changes"] | None = None
    """Whether who is missing from the file is gone ("full"), or merely unchanged ("changes")."""
    full_for: Literal["clients_in_file", "all"] | None = None
    """Of which clients a full list is full: those that it names (the default), or all."""
    kind: Literal["clients", "sites", "users"] | None = None
    """What its rows are; found out from its headings where it is not given."""
    key: options.Key | None = None
    """The heading, or several, whose cells identify a user for ever."""
    client: options.Client | None = None
    """The client of everybody in a file without a client column; else that of its sub-folder."""
    encoding: options.Encoding | None = None
    delimiter: options.Delimiter | None = None
    worksheet: options.Worksheet | None = None
    clear: options.Marker | None = None
    headings: options.Headings | None = None
    day_first: bool | None = None

    def said(self) -> dict[str, Any]:
        """What is said, by the names of the settings."""
        every = {name: getattr(self, name) for name in Declared.model_fields}
        return {name: value for name, value in every.items() if value is not None}


class FileRule(Declared):
    """What is declared about files of one name: `*-changes.csv`, `Contoso/*`."""

    name: Annotated[str, Field(min_length=1, max_length=300)]

    def fits(self, folder: str, name: str) -> bool:
        """Whether the file has this name; one with a slash names its sub-folder, too."""
        whole = f"{folder}/{name}" if "/" in self.name else name
        return fnmatchcase(whole.casefold(), self.name.casefold())


class Manifest(Declared):
    """What a file beside a file declares about it."""

    as_of: AwareDatetime | None = None
    """When the list was right, where the time of its file does not tell."""


class FolderConfig(Declared):
    """Which folder people drop their spreadsheets in, and what these promise."""

    folder: options.File
    """Where files are dropped; each sub-folder is read for itself, and may name a client."""
    finished: Literal["stable", "done"] = "stable"
    """A file is whole once it did not change for a while, or once NAME.done lies beside it."""
    stable_for: Annotated[float, Field(ge=0, le=3600)] = 3
    """For how many seconds."""
    files: tuple[FileRule, ...] = ()
    """What is declared about files of certain names; the first rule that fits a name counts."""
    page_size: Annotated[int, Field(ge=1, le=50_000)] = 5_000

    def declared(self, folder: str, name: str, manifest: Manifest | None) -> Declared:
        """What is said about one file. A sub-folder says which client it is of."""
        rule = self._rule(folder, name)
        said = {**self.said(), **({"client": folder} if folder else {})}
        for more in (rule, manifest):
            said |= more.said() if more else {}
        return Declared(**said)

    def series(self, folder: str, name: str) -> str:
        """What the files of one sender share, so that the next is compared with the last: the rule
        for their names, or what is left of these without numbers: `staff 2027-03.csv` is `staff`.
        """
        rule = self._rule(folder, name)
        stem = PurePath(name).stem
        return rule.name if rule else squash("".join(it for it in stem if not it.isdigit()))

    def _rule(self, folder: str, name: str) -> FileRule | None:
        return next((rule for rule in self.files if rule.fits(folder, name)), None)


def manifest_at(path: Path) -> Manifest | None:
    """What the manifest in a file declares, if there is one. Raises BadResponse."""
    if not path.exists():
        return None
    with open_regular(path) as file:
        data = file.read(MAX_MANIFEST + 1)
    if len(data) > MAX_MANIFEST:
        raise BadResponse("its manifest is too long to be one")
    return read_manifest("its manifest", data)


def read_manifest(name: str, data: bytes) -> Manifest:
    """The manifest in these bytes; BadResponse says what is wrong with it."""
    try:
        return Manifest.model_validate(tomllib.loads(data.decode("utf-8-sig")))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise BadResponse(f"{name}: {where}: {first['msg']}; repair it and drop both") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        what = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "it is not TOML"
        raise BadResponse(f"{name}: {what}; repair it and drop both files again") from None
