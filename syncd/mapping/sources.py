"""Where values come from: names, templates and JMESPath, made into functions of a record."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from syncd import keys
from syncd.entities import Kind
from syncd.mapping.casts import as_text
from syncd.mapping.expressions import Attributes, Place, RuleRefused, evaluated, expression
from syncd.mapping.names import check_source, is_template
from syncd.mapping.rules import FieldRule
from syncd.text import clean

Picker = Callable[[Attributes, Any], object]
"""Takes a source's value from the attributes, or from the record as plain data (for JMESPath)."""

SIGN_IN_NAME = "user_principal_name"
"""The source that is an address in some directories and a bare login in others."""


def value_picker(kind: Kind, rule: FieldRule, where: Place, *, is_address: bool = False) -> Picker:
    """The function that finds the value of a rule; raises RuleRefused.

    `is_address`: the value has to be an e-mail address.
    """
    picks: list[Picker] = []
    if rule.expr is not None:
        picks.append(_computed(kind, rule.expr, where))
    for source in rule.sources:
        if is_address and source == SIGN_IN_NAME:
            picks.append(_sign_in_address)
        else:
            picks.append(_picker(kind, source, where))
    if (constant := rule.value) is not None:
        picks.append(lambda _record, _plain: constant)
    return picks[0] if len(picks) == 1 else _first_non_blank(picks)


def source_picker(kind: Kind, sources: Iterable[str], where: Place) -> Picker:
    """The function that finds the first non-blank of `sources`; raises RuleRefused."""
    return _first_non_blank(_picker(kind, source, where) for source in sources)


def names_in(source: str) -> list[str]:
    """The plain names that a source reads."""
    return _HOLES.findall(source) if is_template(source) else [source]


def name_of_last_resort() -> Picker:
    """What a person can be called of whom the mapping's own sources do not tell the name."""
    full_name = _template(Kind.USER, "{given_name} {family_name}", ("name",))
    look_ups = [_look_up("display_name"), full_name, _mailbox, _look_up(SIGN_IN_NAME)]
    return _first_non_blank(look_ups)


def _picker(kind: Kind, source: str, where: Place) -> Picker:
    return _template(kind, source, where) if is_template(source) else _look_up(source)


def _look_up(source: str) -> Picker:
    holder, dot, name = source.partition(".")
    if dot:
        return lambda record, _plain: record[holder].get(name)
    return lambda record, _plain: record[source]


def _first_non_blank(picks: Iterable[Picker]) -> Picker:
    in_order = tuple(picks)

    def first(record: Attributes, plain: Any) -> object:
        for pick in in_order:
            raw = pick(record, plain)
            if raw is not None and not _is_blank(raw):
                return raw
        return None

    return first


def _is_blank(raw: object) -> bool:
    if isinstance(raw, str):
        return not raw[:1].isalnum() and not clean(raw)  # cleaning takes no letter away
    return isinstance(raw, list | tuple | dict) and not raw


def _sign_in_address(record: Attributes, _plain: Any) -> object:
    """The sign-in name where it can be a mailbox: not a bare login, nor a guest's rewritten one."""
    name = record[SIGN_IN_NAME]
    if isinstance(name, str) and "#EXT#" not in name and keys.plausible_address(clean(name)):
        return name
    return None


def _mailbox(record: Attributes, _plain: Any) -> object:
    mail = record["mail"]
    return mail.partition("@")[0] if isinstance(mail, str) else None


# -- templates -------------------------------------------------------------------------------------

_HOLES = re.compile(r"\{([^{}]*)\}")
_EMPTY_BRACKETS = re.compile(r"\s*(?:\(\s*\)|\[\s*\])")


def _template(kind: Kind, template: str, where: Place) -> Picker:
    """A template such as `{family_name}, {given_name}`; a blank part takes a separator along.

    Names are looked up in the record and nowhere else: no attributes, indexes or formats.
    """
    literals, names = _HOLES.split(template)[::2], _HOLES.findall(template)
    if any("{" in literal or "}" in literal for literal in literals):
        raise RuleRefused(where, "a brace in the template is not part of a {name}")
    for name in names:
        try:
            check_source(kind, name)
        except ValueError as problem:
            raise RuleRefused(where, str(problem)) from None
    picks = tuple(map(_look_up, names))

    def rendered(record: Attributes, plain: Any) -> str | None:
        return _joined(literals, [as_text(pick(record, plain), where[-1]) for pick in picks])

    return rendered


def _joined(literals: list[str], parts: list[str]) -> str | None:
    """The parts with the literals around them; None if every part is blank.

    `literals[n]` stands before `parts[n]`. Of the two literals around a blank part one is left
    out, so that no separator stands alone, and brackets around it go.
    """
    text, before = "", literals[0]
    is_first = True
    for part, after in zip(parts, literals[1:], strict=True):
        if part:
            text += before + part if text or is_first else part
            before = after
        elif _EMPTY_BRACKETS.search(before + after):
            before = _EMPTY_BRACKETS.sub("", before + after, count=1)
        elif is_first:
            before = after
        is_first = False
    if not text:
        return None
    return text + before if parts[-1] else text


def _computed(kind: Kind, text: str, where: Place) -> Picker:
    search = expression(kind, text, where)
    return lambda _record, plain: evaluated(search, plain, where)
