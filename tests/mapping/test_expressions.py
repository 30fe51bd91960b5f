"""What a scope remembers of records never differs from what JMESPath says of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import jmespath
import pytest

from syncd.entities import Kind
from syncd.mapping import expressions
from syncd.mapping.casts import RecordRejected
from syncd.mapping.expressions import Condition, is_true, plain_data
from syncd.records import Person

CONDITIONS = (
    "active",
    "!active",
    "city",
    "city == `null`",
    "city == 'London' || extra.kind != 'guest'",
    "extra.kind != 'guest' && extra.kind != 'shared_mailbox'",
    "extra.level == `1`",
    "extra.level",
    "extra.level == `true`",
    "extra.kind.more",
    "extra && extra.kind == 'guest'",
    "extra == `{}`",
    "length(city || '') > `3`",
    "starts_with(city || '', 'L') && contains(licenses || `[]`, 'E3')",
    "licenses[0] == 'E3'",
    "extra.tags[?@ == 'vip'] | [0]",
    "[city, extra.kind][0]",
    "*.kind",
    "@.city",
    "{a: city}.a",
    "`true`",
    "'guest' == 'guest'",
    "department || city",
)
KINDS: tuple[Any, ...] = (None, "guest", "member", {"more": "x"}, 1, True)
LEVELS: tuple[Any, ...] = (1, True, 0, False, 1.0, "1", None)


def people() -> Iterator[Person]:
    extras: list[dict[str, Any]] = [{}, {"tags": ["vip"]}]
    extras += [{"kind": kind} for kind in KINDS] + [{"level": level} for level in LEVELS]
    for extra, city, active in product(extras, (None, "", "London"), (None, True, False)):
        yield Person(key="k", city=city, active=active, licenses=("E3",), extra=extra)


@pytest.mark.parametrize("text", CONDITIONS)
def test_a_condition_says_what_jmespath_says_however_often_it_was_asked(text: str) -> None:
    condition, search = Condition(Kind.USER, text, ("user", "scope")), jmespath.compile(text).search
    everybody = list(people())
    for one in [*everybody, *reversed(everybody)]:
        assert condition.holds(one) == is_true(search(plain_data(one))), (text, one)


def test_a_condition_asks_jmespath_once_for_each_value(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def evaluated(search: Any, plain: Any, where: Any) -> Any:
        asked.append(plain)
        return search(plain)

    monkeypatch.setattr(expressions, "evaluated", evaluated)
    condition = Condition(Kind.USER, "extra.kind != 'guest'", ("user", "scope"))
    kinds = ["guest", "member", None, "guest", "member"] * 3
    said = [condition.holds(Person(key="k", extra={"kind": one})) for one in kinds]
    assert said == [one != "guest" for one in kinds]
    assert asked == [{"extra": {"kind": kind}} for kind in ("guest", "member", None)]


def test_a_condition_of_a_field_in_which_all_differ_keeps_no_more_than_its_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(expressions, "_MOST_ANSWERS", 3)
    condition = Condition(Kind.USER, "city == 'town 7'", ("user", "scope"))
    said = [condition.holds(Person(key="k", city=f"town {number}")) for number in range(20)]
    assert said == [number == 7 for number in range(20)]
    assert len(condition._answers) == 3


def test_a_condition_that_fails_on_a_record_fails_every_time() -> None:
    condition = Condition(Kind.USER, "length(extra.kind) > `1`", ("user", "scope"))
    for kind in (None, "guest", None):
        one = Person(key="k", extra={"kind": kind})
        if kind:
            assert condition.holds(one)
            continue
        with pytest.raises(RecordRejected):
            condition.holds(one)
