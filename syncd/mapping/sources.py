"""Where values come from: names, templates and JMESPath, made into functions of a record."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from syncd import keys
from syncd.entities import Kind
from syncd.errors import ConfigError
from syncd.mapping.casts import RecordRejected, as_text
from syncd.mapping.names import RECORDS, check_source, is_template, suggestion
from syncd.mapping.rules import FieldRule
from syncd.records import Record
from syncd.text import clean

Attributes = dict[str, Any]
"""A record's attributes, by name."""
Picker = Callable[[Attributes, Any], object]
"""Takes a source's value from the attributes, or from the record as plain data (for JMESPath)."""

Place = tuple[str, ...]
"""Where a rule stands in its file: `("user", "fields", "phone")`."""

SIGN_IN_NAME = "user_principal_name"
"""The source that is an address in some directories and a bare login in others."""


class RuleRefused(ConfigError):
    """A rule that cannot be made into a function: `location` says which, `message` why."""

    def __init__(self, location: Place, message: str) -> None:
        super().__init__(f"{'.'.join(location)}: {message}")
        self.location = location
        self.message = message


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


# -- expressions -----------------------------------------------------------------------------------

_LONGEST_EXPRESSION = 500
_DEEPEST_EXPRESSION = 24
_MOST_COPIES = 10_000
"""JMESPath has no loops, but chained lists copy what they are given: 24 of them took seconds."""

_CHOICES = {"and_expression", "or_expression", "not_expression", "comparator"}
_PROJECTIONS = {"projection", "value_projection", "filter_projection"}
_NEW_CONTEXT = {"subexpression", "pipe", "index_expression", *_PROJECTIONS}
"""The nodes whose second and later children look at the result of the first, not at the record."""


def expression(kind: Kind, text: str, where: Place) -> Callable[[Any], Any]:
    """The JMESPath expression `text` over a record as plain data.

    Raises RuleRefused for what cannot be parsed, could run for long, or names no field of the
    record: a misspelt name would be null for everybody.
    """
    import jmespath
    from jmespath.exceptions import JMESPathError
    from jmespath.functions import Functions

    if len(text) > _LONGEST_EXPRESSION:
        limit = f"{_LONGEST_EXPRESSION} characters"
        raise RuleRefused(where, f"the expression is longer than {limit}")
    try:
        with warnings.catch_warnings(action="ignore"):  # `x` for `"x"` is outdated, not wrong
            parsed = jmespath.compile(text)
    except (JMESPathError, ValueError) as problem:
        raise RuleRefused(where, f"not a JMESPath expression: {problem}") from None
    except RecursionError:
        raise RuleRefused(where, "the expression is nested too deeply") from None
    tree: Any = parsed.parsed
    if _depth(tree) > _DEEPEST_EXPRESSION or _copies(tree) > _MOST_COPIES:
        raise RuleRefused(where, "the expression is nested too deeply or has too many lists")
    for name in _functions(tree):
        if name not in Functions.FUNCTION_TABLE:
            hint = suggestion(name, Functions.FUNCTION_TABLE)
            raise RuleRefused(where, f'JMESPath has no function "{name}"{hint}')
    known = RECORDS[kind].model_fields.keys()
    for name in _record_names(tree):
        if name not in known:
            hint = suggestion(name, known)
            record = RECORDS[kind].__name__
            raise RuleRefused(where, f'{record} records have no "{name}"{hint}')
    return parsed.search


def plain_data(record: Record) -> Any:
    """The record as JMESPath reads it; raises RecordRejected if it holds what is no plain data."""
    try:
        return record.model_dump(mode="json", warnings=False)
    except Exception:  # `extra` may hold anything at all
        raise RecordRejected("expression", "extra", "holds what is no plain data") from None


def evaluated(search: Callable[[Any], Any], plain: Any, where: Place) -> Any:
    """The result of an expression; raises RecordRejected if it fails on this record."""
    try:
        return search(plain)
    except Exception:  # jmespath lets errors of Python escape: types, recursion, …
        raise RecordRejected(
            "expression", where[-1], "the expression fails on this record"
        ) from None


def is_true(result: object) -> bool:
    """Whether JMESPath calls it true: anything but false, null and what is empty; every number."""
    is_number = isinstance(result, int | float) and not isinstance(result, bool)
    return is_number or bool(result)


def _computed(kind: Kind, text: str, where: Place) -> Picker:
    search = expression(kind, text, where)
    return lambda _record, plain: evaluated(search, plain, where)


def _children(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [child for child in node["children"] if isinstance(child, dict)]


def _depth(node: dict[str, Any]) -> int:
    return 1 + max(map(_depth, _children(node)), default=0)


def _copies(node: dict[str, Any]) -> int:
    """How many times, at worst, the expression multiplies what it looks at."""
    inner = [_copies(child) for child in _children(node)]
    if node["type"] in _CHOICES:
        return max(inner)
    own = 1
    if node["type"].startswith("multi_select"):
        own = len(inner)
    elif isinstance(literal := node.get("value"), list):
        own = len(literal)
    return max(own, 1) * math.prod(inner)


def _functions(node: dict[str, Any]) -> Iterator[str]:
    """The names of all functions that the expression calls."""
    if node["type"] == "function_expression":
        yield node["value"]
    for child in _children(node):
        yield from _functions(child)


def _record_names(node: dict[str, Any]) -> Iterator[str]:
    """The names that the expression looks up in the record itself, rather than in part of it."""
    if node["type"] == "field":
        yield node["value"]
    children = [] if node["type"] == "expref" else _children(node)
    for child in children[:1] if node["type"] in _NEW_CONTEXT else children:
        yield from _record_names(child)
