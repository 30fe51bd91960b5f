"""The private copy of a claimed file: the same bytes, unless a column looks like a secret.

Such a column is left out of the copy, and the copy takes the place of the original from then on: in
the answers, in `processed`, and wherever a file is kept.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from syncd.connectors.sheets.files import Version, open_regular, open_sheet
from syncd.connectors.sheets.headings import looks_secret
from syncd.connectors.sheets.sheet import Reading, Row, Sheet
from syncd.connectors.sheets.writing import open_writer
from syncd.errors import Refused

_BLOCK = 1 << 20
_ROWS = 5_000


def digest_of(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    found = hashlib.sha256()
    with open_regular(path) as source:
        while block := source.read(_BLOCK):
            found.update(block)
    return found.hexdigest()


def copy(original: Path, snapshot: Path) -> str:
    """Copy a claimed file; the SHA-256 of the original. Again is no harm.

    Raises Refused where it changed meanwhile.
    """
    with open_regular(original) as source:
        before = Version.of(os.fstat(source.fileno()))
        digest = hashlib.sha256()

        def blocks() -> Iterator[bytes]:
            while block := source.read(_BLOCK):
                digest.update(block)
                yield block

        _write(snapshot, blocks())
        if Version.of(os.fstat(source.fileno())) != before:
            raise Refused(f"{original.name} was still being written; it is read another time")
    return digest.hexdigest()


def leave_secrets_out(snapshot: Path, shown: str, reading: Reading) -> list[str]:
    """Write the copy anew without columns that look like secrets, and without worksheets that are
    not read where these have some; the headings of those.

    Raises BadResponse where the file cannot be read to its end.
    """
    with open_sheet(snapshot, reading, {}) as sheet:
        sheet.file = shown
        secret = [at for at, heading in enumerate(sheet.headings) if looks_secret(heading)]
        elsewhere = [cell for cell in sheet.unread if looks_secret(cell)]
        if secret or elsewhere:
            _rewrite(snapshot, sheet, secret)
        return list(dict.fromkeys([sheet.headings[at] for at in secret] + elsewhere))


def _rewrite(snapshot: Path, sheet: Sheet, secret: list[int]) -> None:
    """The sheet without some columns. Cells beyond the headings have none that says what they are,
    so they go, too: the row stays one that is too long.
    """
    width, gone = len(sheet.headings), frozenset(secret)

    def kept(row: Row) -> Row:
        cells = [cell for at, cell in enumerate(row[:width]) if at not in gone]
        return cells + [""] * max(0, len(row) - width)

    fresh = snapshot.with_name(f"fresh{snapshot.suffix}")
    with open_writer(fresh, sheet.shown) as writer:
        writer.write([kept(sheet.headings)])
        for batch in sheet.batches(_ROWS):
            writer.write(map(kept, batch.rows))
    fresh.replace(snapshot)


def _write(target: Path, blocks: Iterator[bytes]) -> None:
    """A file that is there wholly or not at all."""
    fresh = target.with_name(f"fresh{target.suffix}")
    with fresh.open("wb") as file:
        for block in blocks:
            file.write(block)
        _flush(file)
    fresh.replace(target)


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
