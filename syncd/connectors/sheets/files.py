"""Spreadsheet files: opened safely, told apart by what is in them, the same from end to end.

Ending normally promises that the whole file was read and did not change meanwhile; everything else
raises a ProviderError that names the file, the line where there is one, and what to do.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from syncd.connectors.sheets import encodings
from syncd.connectors.sheets.sheet import Reading, Sheet
from syncd.connectors.sheets.text_files import TextSheet
from syncd.errors import BadResponse, ProviderUnavailable

TEXT_SUFFIXES = frozenset({".csv", ".tsv", ".txt"})
WORKBOOK_SUFFIXES = frozenset({".xlsx", ".xlsm"})
SUFFIXES = TEXT_SUFFIXES | WORKBOOK_SUFFIXES

_ZIP = b"PK\x03\x04"
_OLE = b"\xd0\xcf\x11\xe0"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_AS_UTF8 = 'save it as "CSV UTF-8" and drop it again'


class Version(NamedTuple):
    """What tells one version of a file from the next."""

    device: int
    inode: int
    size: int
    modified: int

    @classmethod
    def of(cls, found: os.stat_result) -> Version:
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


@contextmanager
def open_sheet(path: Path, reading: Reading, seen: dict[Path, Version]) -> Iterator[Sheet]:
    """The sheet in `path`, which must be the version that `seen` remembers, now and at the end."""
    with open_regular(path) as binary:
        version = Version.of(os.fstat(binary.fileno()))
        if seen.setdefault(path, version) != version:
            raise _changed(path)
        encoding = None
        try:
            if _is_workbook(path, binary):
                from syncd.connectors.sheets.worksheets import WorkbookSheet

                yield WorkbookSheet(path.name, binary, reading.worksheet)
            else:
                encoding = _encoding(path.name, binary, reading)
                yield TextSheet(path.name, binary, encoding, reading)
        except UnicodeDecodeError:
            raise _undecodable(path, encoding or encodings.UTF8) from None
        except OSError as error:
            raise unavailable(path, error) from None
        if Version.of(os.fstat(binary.fileno())) != version:
            raise _changed(path)


def refuse_changed(path: Path, seen: Mapping[Path, Version]) -> None:
    """Raise BadResponse if the file in `path` is not the version that `seen` remembers any more."""
    try:
        found = os.lstat(path)
    except OSError as error:
        raise unavailable(path, error) from None
    if Version.of(found) != seen[path]:
        raise _changed(path)


def open_regular(path: Path) -> BinaryIO:
    """`path` opened for reading, if it is a regular file and nothing else.

    Looked at before it is opened, because opening a device may already do something; looked at
    again afterwards, because it may have been replaced in between.
    """
    try:
        _refuse_irregular(path, os.lstat(path))
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:
        raise unavailable(path, error) from None
    try:
        _refuse_irregular(path, os.fstat(descriptor))
        return os.fdopen(descriptor, "rb", buffering=1 << 18)
    except BaseException:
        os.close(descriptor)
        raise


def unavailable(path: Path, error: Exception) -> ProviderUnavailable:
    """The error for a file or folder that the system does not give us."""
    reason = getattr(error, "strerror", None) or "invalid name"
    return ProviderUnavailable(f"cannot read {path.name}: {reason}")


def _refuse_irregular(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise BadResponse(
            f"{path.name} is not a regular file but a link, folder or device; it was not opened"
        )


# -- which format ----------------------------------------------------------------------------------


def _is_workbook(path: Path, binary: BinaryIO) -> bool:
    """Whether the file is a workbook, by its first bytes; its name must say the same."""
    start = binary.read(4096)
    if start.startswith(_OLE):
        raise _old_workbook(path, start + binary.read(1 << 20))
    binary.seek(0)
    named, suffix = path.suffix.lower() in WORKBOOK_SUFFIXES, path.suffix or "no suffix"
    if start.startswith(_ZIP):
        if not named:
            raise BadResponse(
                f"{path.name} is a workbook or an archive, but its name says {suffix}: "
                "rename it to .xlsx if it is a workbook, or save it as CSV"
            )
        return True
    if named:
        raise BadResponse(
            f"{path.name} is not an Excel workbook, although its name says {suffix}; "
            "save it again as XLSX, or rename it if it is CSV"
        )
    return False


def _old_workbook(path: Path, start: bytes) -> BadResponse:
    if _ENCRYPTED in start:
        return BadResponse(f"{path.name} is protected by a password; save it without one")
    return BadResponse(
        f"{path.name} is a workbook of Excel 97 to 2003; save it as XLSX and drop it again"
    )


# -- which encoding --------------------------------------------------------------------------------


def _encoding(file: str, binary: BinaryIO, reading: Reading) -> encodings.Encoding:
    """The encoding of a text file. A byte order mark is never wrong, whatever is pinned."""
    found = encodings.detect(binary, look_on=reading.encoding is None)
    if reading.encoding is not None and not found.marked:
        found = encodings.named(reading.encoding)
    start = b"" if found.is_wide else binary.read(4096)
    binary.seek(0)
    if start.count(0) * 4 > len(start):  # a stray NUL is only an unsafe character of a cell
        raise BadResponse(f"{file} is not text (NUL bytes); {_AS_UTF8}")
    return found


def _undecodable(path: Path, encoding: encodings.Encoding) -> BadResponse:
    """The error for bytes that do not fit the encoding; reads the file again to name the line."""
    with open_regular(path) as binary:
        line = encodings.line_of_misfit(binary, encoding)
    return BadResponse(
        f"{path.name}, line {line}: this is not {encoding.shown}; set `encoding`, or {_AS_UTF8}"
    )


def _changed(path: Path) -> BadResponse:
    return BadResponse(
        f"{path.name} changed while it was being read; nothing is concluded from this read"
    )
