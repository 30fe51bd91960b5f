"""Which encoding a text file is in: pinned, or by its byte order mark, or by all of its bytes.

UTF-8 is recognized for certain; an older encoding is a guess, which is said, because the bytes of
`Müller` in one are letters in another as well. Whatever was chosen, text that does not fit it is an
error and never a question mark.
"""

from __future__ import annotations

import codecs
import re
from io import RawIOBase
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8 with a byte order mark"),
)
_WESTERN = "àáâãäåæçèéêëìíîïñòóôõöøùúûüÿœšžß"
_ALPHABETS = {
    "cp1252": _WESTERN,
    "cp1254": "çğıi\u0307öşüâîûé",  # noqa: RUF001  # Turkish
    "cp1250": "ąćęłńóśźżáčďéěíňřšťúůýžőűäöüôľĺŕâăîşţçđß",
    "cp1257": "āčēģīķļņšūžąęėįųõäöüåéøß",
    "cp850": _WESTERN,
    "mac_roman": _WESTERN,
}
"""The letters beside A to Z of the languages that are written in each; of several that fit, the
first is meant. Short texts have too few of them for statistics.
"""
_SHOWN = {
    **{f"cp{number}": f"Windows-{number}" for number in range(1250, 1258)},
    "cp850": "DOS 850",
    "mac_roman": "Mac Roman",
    "cp932": "Shift JIS",
    "gb18030": "GB 18030",
    "big5": "Big5",
    "euc_kr": "EUC-KR",
}
_STATISTICAL = ("cp1251", "cp1253", "cp1255", "cp1256", "cp932", "gb18030", "big5", "euc_kr")
"""What is told apart by statistics: whole words are in letters of their own."""

_STEP = 1 << 20
_SAMPLE = 1 << 16
_SIGNS = frozenset("¤“”‘’„‚–—…•€£§°©®™«»·´\xa0ºª½¼¾±²×")  # noqa: RUF001  # look-alikes on purpose
"""What stands in Western text beside letters."""
_FOREIGN_RUN = re.compile(r"[^\W\d_a-zA-Z]{3}")
_FOR_TEXT = re.compile(r"(utf-(8|16|32)|iso8859|cp|koi8|gb|big5|euc|shift_jis|mac|ascii)[-\w]*")


class Encoding(NamedTuple):
    """How a file's bytes become text: Python's name of it, a name for people, and how we know."""

    codec: str
    shown: str
    guessed: bool = False
    marked: bool = False
    """Whether a byte order mark says so."""

    @property
    def is_utf8(self) -> bool:
        """Whether the bytes can be read as they are."""
        return self.codec in ("utf-8", "utf-8-sig")

    @property
    def is_wide(self) -> bool:
        """Whether zero bytes are a part of ordinary text."""
        return self.codec.startswith(("utf-16", "utf-32"))


UTF8 = Encoding("utf-8", "UTF-8")


def named(name: str) -> Encoding:
    """The encoding that a person named; ValueError if there is none of that name for text."""
    try:
        found = codecs.lookup(name).name if name.isprintable() else ""
    except LookupError:
        found = ""
    if not _FOR_TEXT.fullmatch(found):
        raise ValueError(
            f'there is no encoding "{name}"; usual ones are utf-8, utf-16, cp1252, cp850'
        )
    codec = "utf-8" if found == "utf-8-sig" else found
    return Encoding(codec, _SHOWN.get(codec, codec.upper()))


def detect(binary: BinaryIO, *, look_on: bool = True) -> Encoding:
    """The encoding of a file, which is read from its beginning and left there.

    look_on: whether more than its first bytes may be looked at.
    """
    start = binary.read(4096)
    binary.seek(0)
    for mark, codec, shown in _MARKS:
        if start.startswith(mark):
            return Encoding(codec, shown, marked=True)
    if wide := _without_mark(start):
        return wide
    if not look_on:
        return UTF8
    sample = _first_that_is_not_utf8(binary)
    binary.seek(0)
    return UTF8 if sample is None else _guess(sample)


def _without_mark(start: bytes) -> Encoding | None:
    """UTF-16 whose every second byte is mostly zero, as it is with Western headings."""
    half = len(start) // 2
    even, odd = start[0::2].count(0), start[1::2].count(0)
    if half and odd * 2 > half and even * 8 < half:
        return Encoding("utf-16-le", "UTF-16 (little endian)", guessed=True)
    if half and even * 2 > half and odd * 8 < half:
        return Encoding("utf-16-be", "UTF-16 (big endian)", guessed=True)
    return None


def _first_that_is_not_utf8(binary: BinaryIO) -> bytes | None:
    """Some lines from where the file stops being UTF-8; None if all of it is."""
    decoder, pending = codecs.getincrementaldecoder("utf-8")(), False
    while chunk := binary.read(_STEP):
        if not pending and chunk.isascii():
            continue
        try:
            decoder.decode(chunk)
        except UnicodeDecodeError as error:
            return _telling_lines(bytes(error.object) + binary.read(_STEP))
        pending = bool(decoder.getstate()[0])
    if pending:
        return decoder.getstate()[0]
    return None


def _telling_lines(data: bytes) -> bytes:
    """The lines that hold anything but ASCII: the others tell nothing, and may be most."""
    lines = [line for line in re.split(rb"[\r\n]+", data) if not line.isascii()]
    return b"\n".join(lines)[:_SAMPLE]


def _guess(sample: bytes) -> Encoding:
    fitting = (codec for codec in _ALPHABETS if _fits(sample, codec))
    codec = next(fitting, None) or _most_likely(sample)
    return Encoding(codec, _SHOWN[codec], guessed=True)


def _fits(sample: bytes, codec: str) -> bool:
    """Whether the bytes are letters of languages that are written so, and usual signs."""
    try:
        text = sample.decode(codec)
    except UnicodeDecodeError:
        return False
    foreign = {char for char in text.lower() if char > "\x7f"}
    return foreign <= _SIGNS | set(_ALPHABETS[codec]) and not _FOREIGN_RUN.search(text)


def _most_likely(sample: bytes) -> str:
    from charset_normalizer import from_bytes

    found = from_bytes(sample, cp_isolation=list(_STATISTICAL)).best()
    return found.encoding if found else "cp1252"


def line_of_misfit(binary: BinaryIO, encoding: Encoding) -> int:
    """The line on which a file stops being text in an encoding; it is read from its beginning."""
    decode, line = codecs.getincrementaldecoder(encoding.codec)().decode, 1
    while chunk := binary.read(_STEP):
        try:
            line += _breaks(decode(chunk))
        except UnicodeDecodeError as error:
            begun = error.object[: error.start].decode(encoding.codec, "replace")
            return line + _breaks(begun)
    return line


def _breaks(text: str) -> int:
    return text.count("\n") or text.count("\r")


class AsUtf8(RawIOBase):
    """The bytes of a file in another encoding, as UTF-8; UnicodeDecodeError where that fails."""

    def __init__(self, binary: BinaryIO, codec: str) -> None:
        super().__init__()
        self._binary = binary
        self._decode = codecs.getincrementaldecoder(codec)("strict").decode
        self._ready = b""
        self._at_end = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        while not self._ready and not self._at_end:
            block = self._binary.read(len(view))
            self._at_end = not block
            self._ready = self._decode(block, self._at_end).encode("utf-8", "surrogatepass")
        part, self._ready = self._ready[: len(view)], self._ready[len(view) :]
        view[: len(part)] = part
        return len(part)
