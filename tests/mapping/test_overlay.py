"""A mapping that extends another: what is laid over what, and what stays."""

from __future__ import annotations

import tomllib

import pytest
from pydantic import ValidationError

from syncd.mapping.rules import Limit, Mapping

BASE = """
[client]
match = ["name"]
top_level = "Customers"

[user]
match = ["employee_id", "email"]
scope = "user_type != 'Guest'"

[user.fields]
phone = { from = ["business_phone", "mobile"], with = "phone:GB", when = "empty" }
title = "department"
notes = { expr = "mail || city" }
home_phone = false
custom.floor = "extra.floor"

[gone]
absent = { action = "deactivate", after = ["3 reads", "7 days"] }

[limits]
deactivate = { count = 9, share = 0.5 }
errors = 0.2
"""


def over(*files: str) -> Mapping:
    """What the files mean, each laid over the one before it."""
    mapping = None
    for text in files:
        mapping = Mapping.over(mapping, tomllib.loads(text))
    assert mapping
    return mapping


def test_a_file_that_only_extends_means_what_its_base_means() -> None:
    base = over(BASE)
    assert over(BASE, 'extends = "base"').version == base.version
    assert over(BASE, "").model_dump() == base.model_dump()


def test_sections_are_laid_over_key_by_key_and_lists_are_replaced() -> None:
    merged = over(BASE, '[user]\nmatch = ["login"]\n[client]\ncreate = false\n[site]\nmain = "HQ"')
    assert merged.user.match == (("login",),)
    assert merged.user.scope == "user_type != 'Guest'"
    assert (merged.client.match, merged.client.create) == ((("name",),), False)
    assert merged.client.top_level == "Customers"
    assert (merged.site.main, merged.site.match) == ("HQ", (("ref",), ("name",)))


def test_an_entry_without_a_source_of_its_own_keeps_the_one_of_the_base() -> None:
    fields = over(BASE, '[user.fields]\nphone = { when = "always" }\nnotes = { clear = true }')
    phone, notes = fields.user.fields["phone"], fields.user.fields["notes"]
    assert phone.sources == ("business_phone", "mobile")
    assert (phone.transforms, phone.when) == (("phone:GB",), "always")
    assert (notes.expr, notes.clear) == ("mail || city", True)


def test_an_entry_with_a_source_of_its_own_takes_nothing_from_the_base() -> None:
    phone = over(BASE, '[user.fields]\nphone = "mobile"').user.fields["phone"]
    assert (phone.sources, phone.transforms, phone.when) == (("mobile",), (), "always")
    value = over(BASE, '[user.fields]\nnotes = { value = "x" }').user.fields["notes"]
    assert (value.expr, value.value) == (None, "x")


def test_an_entry_is_known_by_its_target_whatever_it_is_called() -> None:
    fields = over(
        BASE,
        '[user.fields]\njob_title = { with = "upper" }\n"custom.floor" = { with = "upper" }\n',
    ).user.fields
    assert (fields["job_title"].sources, fields["job_title"].transforms) == (
        ("department",),
        ("upper",),
    )
    assert fields["custom.floor"].sources == ("extra.floor",)


def test_a_field_that_the_base_took_away_stays_away_until_it_gets_a_source() -> None:
    assert "home_phone" not in over(BASE, "").user.fields
    assert "home_phone" not in over(BASE, "[user.fields]\nphone = 'mobile'").user.fields
    back = over(BASE, '[user.fields]\nhome_phone = "home_phone"').user.fields
    assert back["home_phone"].sources == ("home_phone",)
    with pytest.raises(ValidationError, match="says nothing about its source"):
        over(BASE, '[user.fields]\nhome_phone = { with = "phone" }')


def test_false_takes_away_what_the_base_gives() -> None:
    assert "phone" not in over(BASE, "[user.fields]\nphone = false").user.fields


def test_rules_for_leavers_and_limits_are_laid_over_key_by_key() -> None:
    merged = over(
        BASE,
        '[gone]\nabsent = { after = "1 read" }\n'
        "[limits]\ndeactivate = { count = 4 }\nerrors = { count = 7 }\n",
    )
    assert (merged.gone.absent.reads, merged.gone.absent.days) == (1, 0)
    assert merged.gone.absent.action == "deactivate"
    assert merged.limits.deactivate == Limit(count=4, share=0.5)
    assert merged.limits.errors == Limit(count=7, share=0.2)
    assert over(BASE, '[gone]\nabsent = { action = "keep" }').gone.absent.days == 7


def test_a_chain_is_laid_over_from_its_first_base_on() -> None:
    merged = over(
        BASE,
        '[user.fields]\nphone = { with = "digits" }\n[limits]\ndeactivate = { count = 1 }',
        '[user.fields]\nphone = { when = "create" }\n[limits]\ndeactivate = { share = 0.1 }',
    )
    phone = merged.user.fields["phone"]
    assert (phone.sources, phone.transforms, phone.when) == (
        ("business_phone", "mobile"),
        ("digits",),
        "create",
    )
    assert merged.limits.deactivate == Limit(count=1, share=0.1)


def test_the_version_changes_with_the_meaning_of_the_base_and_not_with_its_limits() -> None:
    extending = '[user.fields]\nphone = "mobile"'
    one = over(BASE, extending)
    assert one.version != over(BASE + '[site]\nmain = "HQ"\n', extending).version
    assert one.version == over(BASE.replace("count = 9", "count = 8"), extending).version
    hidden = BASE.replace('"phone:GB"', '"digits"')  # what the extending file replaces
    assert one.version == over(hidden, extending).version
