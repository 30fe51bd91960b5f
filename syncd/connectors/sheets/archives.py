"""A workbook file as an archive: refused if it is a bomb, encrypted or broken, before it is parsed.

Every part is read as a stream and never further than the archive declares, so that the limits that
were checked here hold for what is unpacked later.
"""

from __future__ import annotations

import zipfile
import zlib
from typing import BinaryIO

from syncd.errors import BadResponse

MAX_ENTRIES = 4_000
MAX_UNPACKED = 4 << 30
"""Bytes of all parts together; a million rows of twenty columns are about a gigabyte."""
MAX_RATIO = 150
"""Unpacked by packed bytes of one part; spreadsheets stay below 40, bombs begin at some hundred."""
_SMALL = 1 << 20
"""Bytes up to which the ratio does not matter."""
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

UNPACKING = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
"""What reading a part may raise where the archive is not what it says."""


def open_archive(file: str, binary: BinaryIO) -> zipfile.ZipFile:
    """The archive, checked by what it declares; BadResponse says what is wrong with it."""
    try:
        archive = zipfile.ZipFile(binary)
    except (*UNPACKING, ValueError, OSError, OverflowError):
        raise BadResponse(
            f"{file} is broken: not a whole workbook, perhaps its upload was cut short; "
            "save it again and drop it again"
        ) from None
    _check_entries(file, archive.infolist())
    return archive


def _check_entries(file: str, entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > MAX_ENTRIES:
        raise _bomb(file, f"{len(entries):,} parts")
    if sum(one.file_size for one in entries) > MAX_UNPACKED:
        raise _bomb(file, f"more than {MAX_UNPACKED >> 30} GiB when unpacked")
    for one in entries:
        if one.file_size > max(_SMALL, MAX_RATIO * one.compress_size):
            raise _bomb(file, f"a part that grows more than {MAX_RATIO} times when unpacked")
        if one.flag_bits & 1:
            raise BadResponse(f"{file} is protected by a password; save it without one")
        if one.compress_type not in _METHODS:
            raise BadResponse(f"{file} is packed in a way that no spreadsheet program uses")


def _bomb(file: str, what: str) -> BadResponse:
    return BadResponse(f"{file} was not opened: it holds {what}, as no spreadsheet does")
