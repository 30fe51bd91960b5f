"""Reason codes of quarantined records, and what a person can do about each."""

from __future__ import annotations

_ADVICE = {
    "ambiguous_client": "let one client on the desk have this key, or match by a more telling one",
    "ambiguous_site": "let one site of the client have this key, or match by a more telling one",
    "ambiguous_user": "let one user of the client have this key, or match by a more telling one",
    "bad_key": "shorten or correct it in the source; a sheet's client and site names are keys",
    "bad_value": "correct this field in the source",
    "decision_void": "say anew what becomes of it: syncd review link, create or ignore",
    "duplicate_key": "leave one row for each key in the source, or choose a key that is unique",
    "exists_locally": "set user.adopt = true in the mapping, or give that user another key",
    "expression": "correct the expression in the mapping, or the field that it reads",
    "long_key": "shorten the key in the source, or choose another key in the connection",
    "missing_key": "fill in the key in the source, or choose another key in the connection",
    "no_client": "fill in the client in the source, or set `client` in the connection",
    "no_record": "report this to whoever wrote the connector",
    "ragged_row": "give the row one cell for each heading; put quotes around a cell with commas",
    "required": "fill in this field in the source",
    "same_name": 'add "name" to [client] match if that is proof enough, or give both the same ref',
    "shared_identity": "let one record only have this identity in the source",
    "shared_key": "give each of them a key of its own in the source",
    "skipped": "if it belongs on the desk, let the mapping's [user] scope include it",
    "too_long": "shorten this field in the source",
    "type": "correct this field in the source, or how the mapping reads it",
    "undecided": "nothing; the next sync plans it again",
    "undone": "the next sync makes it again, if the source still has it",
    "unknown_client": "see whether its client waits here itself, or let the mapping create clients",
    "unknown_site": "add the site, or let the mapping create sites",
    "unlinked": "say what becomes of it: syncd review link, create or ignore",
    "unreadable_item": "correct the record in the source; it cannot be read at all",
}


def advice(code: str) -> str:
    """What to repair; "" for a code that speaks for itself."""
    return _ADVICE.get(code, "")
