"""JMESPath over records: what a mapping writes as `expr` or `scope`, checked before it may run."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from syncd.entities import Kind
from syncd.errors import ConfigError
from syncd.mapping.casts import RecordRejected
from syncd.mapping.names import RECORDS, suggestion
from syncd.records import Record

Place = tuple[str, ...]
"""Where a rule stands in its file: `("user", "fields", "phone")`."""

Attributes = dict[str, Any]
"""A record's attributes, by name."""


class RuleRefused(ConfigError):
    """A rule that cannot be made into a function: `location` says which, `message` why."""

    def __init__(self, location: Place, message: str) -> None:
        super().__init__(f"{'.'.join(location)}: {message}")
        self.location = location
        self.message = message


_LONGEST_EXPRESSION = 500
_DEEPEST_EXPRESSION = 24
_MOST_COPIES = 10_000
"""JMESPath has no loops, but chained lists copy what they are given: 24 of them took seconds."""

_CHOICES = {"and_expression", "or_expression", "not_expression", "comparator"}
_PROJECTIONS = {"projection", "value_projection", "filter_projection"}
_NEW_CONTEXT = {"subexpression", "pipe", "index_expression", *_PROJECTIONS}
"""The nodes whose second and later children look at the result of the first, not at the record."""
_OPEN = {*_CHOICES, "function_expression"}
"""The nodes all of whose children look at the record."""

_SIMPLE = (str, bool, type(None))
"""What is equal only to what JMESPath calls equal, too: unlike 1, which is True to Python."""
_MOST_ANSWERS = 1000
"""Answers that a condition remembers: of a field in which all differ it is of no use."""


def expression(kind: Kind, text: str, where: Place) -> Callable[[Any], Any]:
    """The JMESPath expression `text`, to be asked of plain data; raises RuleRefused."""
    search: Callable[[Any], Any] = _parsed(kind, text, where).search
    return search


class Condition:
    """A JMESPath expression that a record fulfils or not. Most conditions look at a field or two of
    which there are few values, such as a type: their answers are remembered, and jmespath, the
    slowest part of a mapping, is asked once for each. Raises RuleRefused.
    """

    def __init__(self, kind: Kind, text: str, where: Place) -> None:
        parsed = _parsed(kind, text, where)
        self._search: Callable[[Any], Any] = parsed.search
        self._where = where
        self._paths = _paths(parsed.parsed)
        self._answers: dict[tuple[Any, ...], bool] = {}

    def holds(self, record: Record) -> bool:
        """Whether it is true of the record; raises RecordRejected if it fails on it."""
        if self._paths is None:
            return self._answer(plain_data(record))
        found = tuple(_at(record.__dict__, path) for path in self._paths)
        if not all(type(one) in _SIMPLE for one in found):
            return self._answer(plain_data(record))
        answer = self._answers.get(found)
        if answer is None:
            answer = self._answer(_with(self._paths, found))
            if len(self._answers) < _MOST_ANSWERS:
                self._answers[found] = answer
        return answer

    def _answer(self, plain: Any) -> bool:
        return is_true(evaluated(self._search, plain, self._where))


def _at(attributes: Attributes, path: Place) -> Any:
    value: Any = attributes
    for name in path:
        if not isinstance(value, dict):
            return None  # as JMESPath has it
        value = value.get(name)
    return value


def _with(paths: Iterable[Place], values: Iterable[Any]) -> dict[str, Any]:
    """Plain data that holds these values, and null everywhere else."""
    plain: dict[str, Any] = {}
    for (*outer, last), value in zip(paths, values, strict=True):
        inner = plain
        for name in outer:
            inner = inner.setdefault(name, {})
        inner[last] = value
    return plain


def _parsed(kind: Kind, text: str, where: Place) -> Any:
    """`text` as jmespath has parsed it.

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
    return parsed


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


def _paths(node: dict[str, Any]) -> tuple[Place, ...] | None:
    """The places in the record at which the expression looks, such as `("extra", "kind")`; None
    where these are not all that it may look at, or one is within another.
    """
    found = set(map(_path, _leaves(node)))
    if None in found:
        return None
    paths = sorted(path for path in found if path)
    within = {path[:length] for path in paths for length in range(1, len(path))}
    return None if within.intersection(paths) else tuple(paths)


def _leaves(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The parts of an expression that look at the record by themselves."""
    if node["type"] not in _OPEN:
        yield node
        return
    for child in _children(node):
        yield from _leaves(child)


def _path(leaf: dict[str, Any]) -> Place | None:
    """Where it looks: `()` is nowhere, None is anywhere."""
    if leaf["type"] == "literal":
        return ()
    parts = _children(leaf) if leaf["type"] == "subexpression" else [leaf]
    is_plain = all(part["type"] == "field" for part in parts)
    return tuple(part["value"] for part in parts) if is_plain else None
