"""What a mapping file may say, and what is said about a wrong one."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import syncd.mapping
from syncd.entities import DESK, FIELDS, Kind
from syncd.mapping.fields import compile_mapping
from syncd.mapping.names import DEFAULT_FIELDS, RECORDS
from syncd.mapping.rules import Limit, Mapping

DEFAULTS = Path(syncd.mapping.__file__).parent / "defaults"

AS_IN_THE_DESIGN = """
[client]
match = ["tenant", "domain"]
top_level = "Customers"
create = true

[site]
from = ["office_location", "city"]

[user]
match = ["identity", "email", "login"]
scope = "user_type != 'Guest' && length(licenses || `[]`) > `0`"
[user.fields]
email = ["mail", "user_principal_name"]
name = "{given_name} {family_name}"
job_title = { from = "job_title", when = "create" }
phone = { from = ["business_phone", "mobile"], with = "phone", when = "empty" }
access_level = { value = "own_tickets" }
"custom.cost_center" = "extra.department_code"

[gone]
disabled     = { action = "deactivate" }
deleted      = { action = "deactivate", release_licenses = true }
absent       = { action = "deactivate", after = "2 reads" }
out_of_scope = { action = "keep" }

[limits]
deactivate = { count = 3, share = 0.10 }
"""


def mapping(toml: str) -> Mapping:
    return Mapping.model_validate(tomllib.loads(toml))


def complaint(toml: str) -> tuple[str, str]:
    """Where and what the first thing is that is wrong with a file."""
    with pytest.raises(ValidationError) as caught:
        mapping(toml)
    first = caught.value.errors()[0]
    return ".".join(map(str, first["loc"])), first["msg"]


def test_the_example_of_the_design_is_understood() -> None:
    example = mapping(AS_IN_THE_DESIGN)
    assert example.client.match == (("tenant_id",), ("domain",))
    assert example.site.sources == ("office_location", "city")
    assert example.user.match == (("identity",), ("email",), ("login",))
    assert example.user.fields["job_title"].when == "create"
    assert example.user.fields["phone"].transforms == ("phone",)
    assert example.user.fields["access_level"].value == "own_tickets"
    assert example.gone.absent.reads == 2
    compile_mapping(example)


def test_an_empty_file_is_a_working_mapping_with_the_documented_defaults() -> None:
    empty = mapping("")
    assert empty.client.match == (("tenant_id",), ("ref",), ("domain",))
    assert empty.site.match == (("ref",), ("name",))
    assert empty.user.match == (("identity",), ("email",), ("login",))
    assert empty.user.adopt
    assert (empty.site.main, empty.site.otherwise, empty.site.holding) == (
        "Main",
        "main",
        "Unassigned",
    )
    limits = {
        name: (limit["count"], limit["share"]) for name, limit in empty.limits.model_dump().items()
    }
    assert limits == {
        "deactivate": (3, 0.10),
        "deactivate_run": (20, 0.05),
        "create": (50, 0.25),
        "site_move": (20, 0.25),
        "key_change": (20, 0.25),
        "license_release": (20, 0.25),
        "errors": (20, 0.50),
    }
    compile_mapping(empty)


@pytest.mark.parametrize("kind", DESK)
def test_every_default_source_and_target_exists(kind: Kind) -> None:
    assert DEFAULT_FIELDS[kind].keys() <= FIELDS[kind].keys()
    sources = {
        source
        for rule in getattr(mapping(""), kind).fields.values()
        for source in rule.sources
        if "{" not in source
    }
    assert sources <= RECORDS[kind].model_fields.keys()


@pytest.mark.parametrize("file", sorted(DEFAULTS.glob("*.toml")), ids=lambda file: file.name)
def test_a_shipped_default_mapping_works_unedited(file: Path) -> None:
    rules = compile_mapping(mapping(file.read_text(encoding="utf-8")))
    assert rules.version


def test_the_csv_mapping_finds_clients_by_name_and_reads_the_top_level_from_the_sheet() -> None:
    csv = mapping((DEFAULTS / "csv.toml").read_text(encoding="utf-8"))
    assert csv.client.match[-1] == ("name",)
    assert csv.client.fields["top_level"].sources == ("parent",)
    assert csv.limits == mapping("").limits
    assert csv.gone == mapping("").gone


# -- fields ----------------------------------------------------------------------------------------


def test_an_entry_lies_over_the_default_and_the_others_stay() -> None:
    fields = mapping('[user.fields]\nphone = "mobile"').user.fields
    assert fields["phone"].sources == ("mobile",)
    assert fields["job_title"].sources == ("job_title",)


def test_an_entry_without_a_source_adjusts_the_default_one() -> None:
    toml = '[client.fields]\ncountry_code = { when = "empty" }'
    rule = mapping(toml).client.fields["country_code"]
    assert (rule.sources, rule.transforms, rule.when) == (("country",), ("country",), "empty")


def test_a_source_of_its_own_inherits_nothing_from_the_default() -> None:
    rule = mapping('[client.fields]\ncountry_code = "extra.iso"').client.fields["country_code"]
    assert rule.transforms == ()


def test_false_takes_a_default_away() -> None:
    assert "notes" not in mapping("[user.fields]\nnotes = false").user.fields


def test_targets_and_keys_have_the_names_that_people_know() -> None:
    toml = '[client]\nmatch = ["tenant", "reference"]\n[user.fields]\ntitle = "department"'
    assert mapping(toml).client.match == (("tenant_id",), ("ref",))
    assert mapping(toml).user.fields["job_title"].sources == ("department",)


def test_a_custom_field_needs_no_quotes() -> None:
    quoted = mapping('[user.fields]\n"custom.floor" = "extra.floor"')
    assert mapping('[user.fields]\ncustom.floor = "extra.floor"') == quoted


def test_a_match_rule_may_be_composite_or_a_single_text() -> None:
    assert mapping('[user]\nmatch = "email"').user.match == (("email",),)
    both = mapping('[user]\nmatch = ["login", ["name", "phone"]]')
    assert both.user.match == (("login",), ("name", "phone"))


@pytest.mark.parametrize(
    ("toml", "where", "what"),
    [
        ("[user]\nmach = []", "user.mach", "not permitted"),
        ('[user.fields]\nemial = "mail"', "user.fields", 'did you mean "email"?'),
        ('[user.fields]\nkeep_active = "active"', "user.fields", 'no field "keep_active"'),
        ('[user.fields]\nphone = "mobil"', "user.fields", 'did you mean "mobile"?'),
        ('[user.fields]\nphone = "licenses"', "user.fields", 'have no "licenses"'),
        ('[user.fields]\nphone = "extra."', "user.fields", "not the name of a field"),
        ('[user.fields]\n"custom." = "mail"', "user.fields", "a custom field can have"),
        ("[user.fields]\nphone = true", "user.fields", "`false` to leave the field alone"),
        ("[user.fields]\nname = false", "user.fields", "a user needs one"),
        ('[user.fields]\ntitle = "mail"\njob_title = "mail"', "user.fields", "given twice"),
        ('[user.fields]\nphone = {with = "fone"}', "user.fields.phone.with", "country, digits"),
        ('[user.fields]\nphone = {with = "phone:XX"}', "user.fields.phone.with", "phone:GB"),
        ('[user.fields]\nactive = {with = "upper"}', "user.fields", "transforms are for text"),
        ("[user.fields]\nactive = {clear = true}", "user.fields", "never erased"),
        ('[user.fields]\nphone = {when = "never"}', "user.fields.phone.when", "'create'"),
        (
            '[user.fields]\nphone = {from = "mobile", expr = "mobile"}',
            "user.fields.phone",
            "keep one of them",
        ),
        (
            '[user.fields]\n"custom.x" = {when = "create"}',
            "user.fields.custom.x",
            "give `from`, `expr` or `value`",
        ),
        (
            '[user.fields]\nphone = {clear = true, when = "empty"}',
            "user.fields.phone",
            "never erases",
        ),
        ('[user]\nmatch = ["department"]', "user.match", "only by email, login"),
        ('[user]\nmatch = [["identity", "email"]]', "user.match", "never part of a composite"),
        ('[user]\nmatch = ["email", "email"]', "user.match", "stands there twice"),
        ('[client]\nmatch = ["identity"]', "client.match", 'not matched by "identity"'),
        ('[site]\nfrom = "offise_location"', "site.from", 'did you mean "office_location"?'),
        ('[gone]\nabsent = {after = "a while"}', "gone.absent.after", 'write "2 reads"'),
        ('[gone]\naccess_lost = {action = "deactivate"}', "gone.access_lost", "proves nothing"),
        ("[limits]\ncreate = {share = 25}", "limits.create.share", "write 0.10 for 10 %"),
        ("[limits]\ncreate = {count = -1}", "limits.create.count", "greater than or equal to 0"),
    ],
)
def test_a_mistake_is_named_with_its_place(toml: str, where: str, what: str) -> None:
    place, message = complaint(toml)
    assert place == where
    assert what in message


# -- leavers and limits ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "reads", "days"),
    [
        ("[]", 1, 0),
        ('"1 read"', 1, 0),
        ('"2 reads"', 2, 0),
        ('"7 days"', 1, 7),
        ('["3 reads", "1 day"]', 3, 1),
    ],
)
def test_the_clocks_of_a_gone_rule_are_read(after: str, reads: int, days: float) -> None:
    rule = mapping(f"[gone]\nabsent = {{ after = {after} }}").gone.absent
    assert (rule.action, rule.reads, rule.days) == ("deactivate", reads, days)


def test_only_deletion_releases_licenses_by_default() -> None:
    gone = mapping("").gone.model_dump()
    assert [reason for reason, rule in gone.items() if rule["release_licenses"]] == ["deleted"]


def test_a_limit_that_names_one_half_keeps_the_other() -> None:
    assert mapping("[limits]\ndeactivate = {count = 9}").limits.deactivate == Limit(
        count=9, share=0.10
    )


def test_the_share_of_errors_may_stand_alone() -> None:
    assert mapping("[limits]\nerrors = 0.2").limits.errors == Limit(count=20, share=0.2)


# -- version ---------------------------------------------------------------------------------------


def test_the_version_ignores_comments_and_the_order_of_keys() -> None:
    one = mapping("[user]\nadopt = false\n[user.fields]\ncustom.a = 'city'\ncustom.b = 'mail'")
    two = mapping(
        "[user.fields]\ncustom.b = ['mail'] # a list of one\ncustom.a = 'city'\n"
        "[user]\nadopt = false"
    )
    assert one.version == two.version
    assert len(one.version) == 16
    assert int(one.version, 16)


@pytest.mark.parametrize(
    "change",
    [
        "[user]\nadopt = false",
        '[user]\nmatch = ["login", "email", "identity"]',
        '[user.fields]\nphone = "mobile"',
        "[gone]\nabsent = {after = '3 reads'}",
    ],
)
def test_the_version_changes_with_the_meaning(change: str) -> None:
    assert mapping(change).version != mapping("").version


def test_a_raised_limit_changes_no_meaning_and_so_keeps_a_held_plan_valid() -> None:
    assert mapping("[limits]\ncreate = {count = 51}").version == mapping("").version


def test_the_version_changes_when_the_rules_mean_something_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = mapping("").version
    monkeypatch.setattr("syncd.mapping.rules.RULES_VERSION", 2)
    assert mapping("").version != before


def test_a_mapping_is_frozen() -> None:
    frozen: Any = mapping("")
    with pytest.raises(ValidationError):
        frozen.user = None
