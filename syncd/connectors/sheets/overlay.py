"""One row laid over what is stored of the same record: blank cells leave alone what was said."""

from __future__ import annotations

import msgspec

from syncd.connectors.sheets.headings import Kind, rank
from syncd.connectors.sheets.records import CLIENT, KEY, MONTH_FIRST, SITE

_MARKS = (KEY, CLIENT, SITE, MONTH_FIRST)

_decode = msgspec.json.Decoder(dict[str, str | None]).decode
_encode = msgspec.json.Encoder().encode


def lay_over(kind: Kind, stored: bytes, sent: bytes) -> bytes:
    """The item of both, in the order of columns, so that equal content is equal bytes."""
    try:
        old, new = _decode(stored), _decode(sent)
    except msgspec.DecodeError:
        return sent
    if old.keys() <= new.keys():
        return sent
    if CLIENT in new and new[CLIENT] != old.get(CLIENT) and SITE not in new:
        old.pop(SITE, None)  # a site is one of its client
    whole = old | new
    marks = [name for name in _MARKS if name in whole]
    columns = sorted(whole.keys() - set(marks), key=lambda name: (rank(kind, name), name))
    return _encode({name: whole[name] for name in (*marks, *columns)})
