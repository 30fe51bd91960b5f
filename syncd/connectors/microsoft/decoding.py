"""JSON of theirs and ours: one order of members, and every way in which bytes are not JSON."""

from __future__ import annotations

import msgspec

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises for bytes that are no JSON, or JSON of another form than expected."""

in_order = msgspec.json.Encoder(order="sorted").encode
"""Equal values to equal bytes."""
