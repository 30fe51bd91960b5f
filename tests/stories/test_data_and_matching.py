"""What a sheet may hold, and what becomes of it: the faults of data and matching, one by one."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa

from syncd.store import tables as t
from tests.stories.desk import LASTING, Desk, people, person
from tests.stories.source import Source, raw, who
from tests.stories.writes import count_writes

ALIKE = "\u00e9"  # é as one character
COMBINED = "e\u0301"  # é as two


def _notices(desk: Desk, outcome: Any) -> str:
    return "\n".join(outcome.notices)


# -- who is who ------------------------------------------------------------------------------------


def test_two_rows_with_one_unique_key_are_both_set_aside(desk: Desk) -> None:
    """B01"""
    twin = person("Bob", **{"E-mail": "ada@acme.example"})

    outcome = desk.sync([person("Ada"), twin, person("Cy")])

    assert desk.names() == ["Cy"]
    assert desk.quarantine() == {"ada": "shared_key", "bob": "shared_key"}
    assert (outcome.state, outcome.code) == ("partial", "quarantine")


def test_one_key_twice_with_different_content_is_not_believed(desk: Desk) -> None:
    """B01"""
    outcome = desk.sync([person("Ada"), person("Ada", Title="Head"), person("Cy")])

    assert desk.names() == ["Cy"]
    assert desk.quarantine() == {"ada": "duplicate_key"}
    assert outcome.counts["in quarantine"] == 1


def test_a_linked_user_stays_as_it_is_when_its_key_becomes_ambiguous(desk: Desk) -> None:
    """B01"""
    desk.sync([person("Ada", Title="Clerk"), person("Cy")])
    before = desk.living()

    desk.sync([person("Ada", Title="Head"), person("Ada", Title="Boss"), person("Cy")])

    assert desk.living() == before
    assert desk.quarantine() == {"ada": "duplicate_key"}

    desk.sync([person("Ada", Title="Head"), person("Cy")])
    assert desk.user("Ada").values["job_title"] == "Head"
    assert desk.quarantine() == {}


def test_the_ledger_keeps_a_flag_as_yes_or_no_on_every_database(desk: Desk) -> None:
    """SQLite knows 1 and 0 only, and a person would read those in every answer."""
    desk.sync([person("Ada", IsImportantContact="yes")])

    outcome = desk.sync([person("Ada", IsImportantContact="no")])

    c = t.change.c
    this_run = t.step.c.run_id == outcome.run
    query = sa.select(c.before, c.after).join(t.step, t.step.c.id == c.step_id).where(this_run)
    (change,) = desk.database.query(lambda conn: conn.execute(query).all())
    assert change.before["is_important_contact"] is True
    assert change.after["is_important_contact"] is False


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_the_same_row_twice_is_one_user(desk: Desk) -> None:
    """A31"""
    outcome = desk.sync([person("Ada"), person("Cy"), person("Ada")])

    assert desk.names() == ["Ada", "Cy"]
    assert desk.quarantine() == {}
    assert outcome.state == "succeeded"


def test_a_newcomer_with_the_key_of_a_linked_user_is_the_only_one_in_doubt(desk: Desk) -> None:
    """B01"""
    desk.sync([person("Ada")])

    desk.sync([person("Ada", Title="Head"), person("Bob", **{"E-mail": "ada@acme.example"})])

    assert desk.user("Ada").values["job_title"] == "Head"
    assert desk.quarantine() == {"bob": "ambiguous_user"}


def test_two_users_on_the_desk_with_the_key_of_one_record_are_left_to_a_person(desk: Desk) -> None:
    """B02"""
    desk.sync([person("Zoe")])
    for title in ("first", "second"):
        desk.add_user("Acme", name="Ada", email="ada@acme.example", title=title)
    before = desk.living()

    desk.sync([person("Zoe"), person("Ada")])

    assert desk.living() == before
    assert desk.quarantine() == {"ada": "ambiguous_user"}
    with desk.database.read() as conn:
        suggestion = conn.execute(sa.select(t.quarantine.c.suggestion)).scalar_one()
    assert sorted(suggestion.split(",")) == sorted(
        user.id.hex for user in desk.users() if user.name == "Ada"
    )


def test_an_empty_key_matches_nobody(desk: Desk) -> None:
    """B03: people without an address are created by their number and never taken for each other."""
    desk.sync([person("Zoe")])
    desk.add_user("Acme", name="Nobody")
    blank = {"E-mail": ""}

    desk.sync([person("Zoe"), *(person(name, **blank) for name in ("Ada", "Bob", "Cy"))])

    assert desk.names() == ["Ada", "Bob", "Cy", "Nobody", "Zoe"]
    assert desk.quarantine() == {}


def test_rows_without_the_key_of_rows_are_set_aside_and_prove_no_absence(desk: Desk) -> None:
    """B03"""
    desk.sync([person("Ada"), person("Bob")])

    outcome = desk.sync([person("Bob"), person("Cy", **{"Staff no": ""})])

    assert list(desk.quarantine().values()) == ["missing_key"]
    assert desk.names(active=True) == ["Ada", "Bob"]
    assert outcome.state == "partial"


def test_a_new_address_under_the_same_key_is_an_update(desk: Desk) -> None:
    """B04"""
    desk.sync([person("Ada")])
    before = desk.user("Ada").id

    outcome = desk.sync([person("Ada", **{"E-mail": "ada.king@acme.example"})])

    assert desk.user("Ada").id == before
    assert desk.user("Ada").values["email"] == "ada.king@acme.example"
    assert [action for action, _, _ in desk.changes(outcome.run)] == ["update"]


def test_the_same_person_in_two_clients_is_two_users(desk: Desk) -> None:
    """B08"""
    mail = {"E-mail": "ada@group.example"}
    desk.sync([person("Ada", **mail), person("Zoe", "Bolt")])

    desk.sync([person("Ada", **mail), person("Zoe", "Bolt"),
               person("Ada", "Bolt", **mail, Staff_no="ada2")])  # fmt: skip

    assert [(user.name, user.client) for user in desk.users()] == [
        ("Ada", "Acme"),
        ("Ada", "Bolt"),
        ("Zoe", "Bolt"),
    ]


def test_a_returner_comes_back_on_the_same_row_with_its_history(desk: Desk) -> None:
    """B09"""
    rows = people(6)
    desk.sync(rows)
    before = desk.user("P0").id
    desk.sync(rows[1:])
    assert not desk.user("P0").active

    outcome = desk.sync(rows)

    assert desk.user("P0").active
    assert desk.user("P0").id == before
    assert [action for action, _, _ in desk.changes(outcome.run)] == ["reactivate"]
    assert len(desk.users()) == 6


def test_a_user_made_by_hand_is_adopted_and_what_was_typed_stays(desk: Desk) -> None:
    """B10"""
    desk.sync([person("Zoe")])
    desk.add_user("Acme", name="Ada L.", email="ADA@acme.example", title="typed")
    made = desk.user("Ada L.").id

    desk.sync([person("Zoe"), person("Ada", Title="Clerk", Department="Sales")])

    user = desk.user("Ada L.")
    assert user.id == made
    assert user.values["job_title"] == "typed"
    assert user.values["department"] == "Sales"


def test_a_user_made_by_hand_is_reported_where_the_mapping_adopts_none(desk: Desk) -> None:
    """B10"""
    desk.mapping('[user]\nmatch = ["email"]\nadopt = false\n')
    desk.sync([person("Zoe")])
    desk.add_user("Acme", name="Ada", email="ada@acme.example")
    before = desk.living()

    desk.sync([person("Zoe"), person("Ada", Title="Clerk")])

    assert desk.living() == before
    assert desk.quarantine() == {"ada": "exists_locally"}


def test_a_value_set_by_hand_survives_every_sync_until_it_is_released(desk: Desk) -> None:
    """B11"""
    from syncd.entities import Kind
    from syncd.sync import editing

    desk.sync([person("Ada", Title="Clerk", Department="Sales")])
    desk.set("Ada", title="Countess")

    desk.sync([person("Ada", Title="Head", Department="Board")])
    assert desk.user("Ada").values["job_title"] == "Countess"
    assert desk.user("Ada").values["department"] == "Board"

    editing.release(desk.engine, Kind.USER, desk.user("Ada").id, ["title"], "boss")
    desk.sync()
    assert desk.user("Ada").values["job_title"] == "Head"


def test_a_field_emptied_by_hand_stays_empty(desk: Desk) -> None:
    """B11"""
    desk.sync([person("Ada", Title="Clerk")])
    desk.set("Ada", title="")

    desk.sync([person("Ada", Title="Head")])

    assert "job_title" not in desk.user("Ada").values


# -- spelling --------------------------------------------------------------------------------------


def test_spellings_of_one_address_are_one_user(desk: Desk) -> None:
    """B16, B19, B22"""
    pairs = {
        "Ada": ("ada@acme.example", "Ada@ACME.example"),
        "Ren": (f"ren{ALIKE}@acme.example", f"ren{COMBINED}@acme.example"),
        "Bob": ("bob@acme.example", "\u00a0bob@acme.example\u200b"),
        "Cy": ("cyrus@acme.example", "\ufeffcy\u200brus@acme.example"),
    }
    desk.sync([person("Zoe")])
    for name, (stored, _) in pairs.items():
        desk.add_user("Acme", name=name, email=stored)

    desk.sync([person("Zoe"), *(person(name, **{"E-mail": m}) for name, (_, m) in pairs.items())])

    assert desk.names() == sorted([*pairs, "Zoe"])
    assert set(desk.links().values()) == {"alive"}
    assert len(desk.links()) == 5


def test_spellings_of_one_key_are_one_link(desk: Desk) -> None:
    """B16, B22"""
    desk.sync([person("Ada")])

    for number, key in enumerate(["ADA", " ada ", "ada\u00a0", "a\u200bda", "\ufeffada"]):
        desk.sync([person("Ada", Staff_no=key, Title=f"T{number}")])

    assert desk.links() == {"ada": "alive"}
    assert desk.user("Ada").values["job_title"] == "T4"


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_what_cannot_be_seen_is_not_stored(desk: Desk) -> None:
    """B22"""
    name = "\ufeff Ada\u200b \u202eKing\u202c\u00a0"
    desk.sync([person("Ada", Name=name)])

    assert desk.names() == ["Ada King"]


def test_nul_characters_vanish_wherever_they_stand(desk: Desk, source: Source) -> None:
    """B24"""
    nul = "\x00"
    source.organizations = [raw("acme", name=f"Ac{nul}me", notes=f"{nul}")]
    source.people = [
        who("Ada", display_name=f"A{nul}da", mail=f"ada{nul}@acme.example", notes=f"x{nul}y",
            job_title=nul, custom={"co": f"1{nul}2"}, extra={"code": f"3{nul}4"}),
        who("Bob"),
    ]  # fmt: skip

    outcome = desk.sync()

    assert outcome.state == "succeeded"
    ada = desk.user("Ada")
    assert (ada.client, ada.values["email"], ada.values["notes"]) == (
        "Acme",
        "ada@acme.example",
        "xy",
    )
    assert "job_title" not in ada.values
    assert ada.values["custom"] == {"co": "12"}


def test_nul_characters_in_keys_and_identities_never_fail_a_batch(
    desk: Desk, source: Source
) -> None:
    """B24: the record is kept or set aside; its neighbours are stored either way."""
    nul = "\x00"
    source.people = [
        who("Ada", key=f"a{nul}da"),
        who("Bob", identities=[[f"iss{nul}", f"b{nul}ob"]]),
        who("Cy", organization=f"ac{nul}me"),
        who("Dee"),
    ]

    outcome = desk.sync()

    assert outcome.state == "partial"
    assert desk.names() == ["Dee"]
    assert set(desk.quarantine().values()) == {"bad_key"}
    assert len(desk.quarantine()) == 3


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_stray_nul_in_a_sheet_vanishes_and_costs_nobody_their_row(desk: Desk) -> None:
    """B24"""
    outcome = desk.sync([person("Ada", Title="Ho\x00st"), person("Bob")])

    assert outcome.state == "succeeded"
    assert desk.user("Ada").values["job_title"] == "Host"


def test_an_over_long_value_is_cut_and_said_to_be(desk: Desk) -> None:
    """B26"""
    outcome = desk.sync([person("Ada", Title="x" * 300)])

    assert desk.user("Ada").values["job_title"] == "x" * 255
    assert "cut" in _notices(desk, outcome)


def test_an_over_long_key_is_set_aside_and_never_cut(desk: Desk) -> None:
    """B26"""
    desk.sync([person("Ada", **{"E-mail": "x" * 300 + "@acme.example"}), person("Bob")])

    assert desk.names() == ["Bob"]
    assert desk.quarantine() == {"ada": "too_long"}


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_odd_addresses_are_kept_and_doubtful_ones_are_said_to_be(desk: Desk) -> None:
    """B27"""
    mails = {
        "No": "not an address",
        "Two": "ada@acme.example; ada@home.example",
        "Plus": "ada+desk@acme.example",
        "Quoted": '"ada b"@acme.example',
        "Idn": "ada@müller.example",
    }
    outcome = desk.sync([person(name, **{"E-mail": mail}) for name, mail in mails.items()])

    assert {user.name: user.values["email"] for user in desk.users()} == mails
    assert sorted(notice.split(":")[0] for notice in outcome.notices) == ["people no", "people two"]


def test_doubtful_addresses_match_nobody(desk: Desk) -> None:
    """B27"""
    desk.sync([person("Zoe")])
    desk.add_user("Acme", name="Shared", email="n/a")

    desk.sync([person("Zoe"), person("Ada", **{"E-mail": "n/a"}),
               person("Bob", **{"E-mail": "n/a"})])  # fmt: skip

    assert desk.names() == ["Ada", "Bob", "Shared", "Zoe"]
    assert desk.quarantine() == {}


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_manager_is_an_address_and_so_may_be_anybody(desk: Desk) -> None:
    """B28: there is no tie between users, so neither a circle nor a missing one can harm."""
    outcome = desk.sync(
        [
            person("Ada", Manager="ada@acme.example"),
            person("Bob", Manager="cy@acme.example"),
            person("Cy", Manager="bob@acme.example"),
            person("Dee", Manager="nobody@acme.example"),
        ]
    )

    assert outcome.state == "succeeded"
    assert desk.user("Dee").values["manager_email"] == "nobody@acme.example"


def test_a_person_whose_client_comes_later_waits_and_is_healed(desk: Desk, source: Source) -> None:
    """B28: a missing parent."""
    source.people = [who("Ada"), who("Bob", "later")]
    desk.sync()
    assert desk.quarantine() == {"bob": "unknown_client"}

    source.organizations.append(raw("later", name="Later"))
    source.deletes, source.people = source.deletes.UNKNOWN, [who("Ada")]
    outcome = desk.sync()

    assert desk.quarantine() == {}
    assert desk.user("Bob").client == "Later"
    assert outcome.state == "succeeded"


# -- values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_dates_are_days_and_those_that_mean_never_are_none(desk: Desk) -> None:
    """B30"""
    days = {
        "2027-12-31": "2027-12-31",
        "31/12/2027": "2027-12-31",
        "2027-03-28T02:30:00+01:00": "2027-03-28",
        "0001-01-01": None,
        "9999-12-31": None,
    }
    desk.sync([person(f"P{at}", Contract_end=day) for at, day in enumerate(days)])

    found = [user.values.get("contract_end_date") for user in desk.users()]
    assert found == list(days.values())


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_dates_of_vendors_are_days_and_what_is_none_is_left_out_with_a_notice(
    desk: Desk, source: Source
) -> None:
    """B30"""
    desk.mapping('[user.fields]\ncontract_end_date = "extra.ends"\n')
    days = {
        "/Date(1830211200000)/": "2027-12-31",
        "/Date(1830211200000+0000)/": "2027-12-31",
        "0001-01-01T00:00:00": None,
        "soon": None,
    }
    source.people = [who(f"P{at}", extra={"ends": day}) for at, day in enumerate(days)]

    outcome = desk.sync()

    found = [user.values.get("contract_end_date") for user in desk.users()]
    assert found == list(days.values())
    assert [notice.split(":")[0] for notice in outcome.notices] == ["people p2", "people p3"]


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_yes_and_no_are_understood_in_the_usual_words(desk: Desk) -> None:
    """B31"""
    words = {"TRUE": True, "ja": True, "1": True, "0": False, "Nein": False}
    desk.sync([person(f"P{at}", VIP=word) for at, word in enumerate(words)])

    assert [user.values["is_important_contact"] for user in desk.users()] == list(words.values())


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_what_is_neither_yes_nor_no_is_set_aside_by_the_name_of_its_column(desk: Desk) -> None:
    """B31"""
    desk.sync([person("Ada", VIP="perhaps"), person("Bob", VIP="yes")])

    assert desk.names() == ["Bob"]
    with desk.database.read() as conn:
        fields = conn.execute(sa.select(t.quarantine.c.code, t.quarantine.c.fields)).one()
    assert fields == ("bad_value", ["isimportantcontact"])


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_numbers_become_text_as_they_are_written(desk: Desk, source: Source) -> None:
    """B31"""
    desk.mapping('[user.fields]\nother1 = "extra.n"\nother2 = "extra.m"\n')
    source.people = [who("Ada", extra={"n": 7, "m": "1.234,56"}), who("Bob", extra={"n": {"a": 1}})]

    desk.sync()

    assert desk.user("Ada").values["other1"] == "7"
    assert desk.user("Ada").values["other2"] == "1.234,56"
    assert desk.quarantine() == {"bob": "type"}


def test_one_bad_record_among_a_thousand_is_the_only_one_set_aside(desk: Desk) -> None:
    """B32"""
    rows = people(1000)
    rows[500]["VIP"] = "perhaps"

    outcome = desk.sync(rows)

    assert outcome.counts["create user"] == 999
    assert desk.quarantine() == {"p500": "bad_value"}


def test_when_every_record_is_bad_the_mapping_is_and_nothing_is_written(desk: Desk) -> None:
    """B33"""
    desk.sync(people(3))
    before = desk.rows()

    outcome = desk.sync([{**row, "VIP": "perhaps"} for row in people(40)])

    assert (outcome.state, outcome.code) == ("failed", "mapping")
    assert desk.rows() == before
    assert "40 of 40" in (outcome.reason or "")


def test_the_same_list_twice_writes_no_row(desk: Desk) -> None:
    """B34: shuffled, in a file with another name, and with a record in quarantine."""
    rows = [*people(30), *people(5, "Bolt", first=30), person("Bad", VIP="perhaps")]
    desk.sync(rows)
    before = desk.rows()
    counted = (*LASTING, t.item_history, t.change)

    with count_writes(desk.database, *counted) as written:
        desk.configure(combined="again.csv")
        desk.write(reversed(rows), "again.csv")
        outcome = desk.sync()

    assert written() == {}
    assert outcome.counts["unchanged"] >= 35
    assert desk.rows() == before


def test_a_required_target_that_is_null_is_set_aside_by_its_name(
    desk: Desk, source: Source
) -> None:
    """B37"""
    source.organizations = [raw("acme", name="Acme"), raw("null", website="null.example")]
    source.people = [who("Ada"), raw("nobody", organization="acme")]

    desk.sync()

    assert desk.names() == ["Ada"]
    with desk.database.read() as conn:
        rows = conn.execute(
            sa.select(t.quarantine.c.key, t.quarantine.c.code, t.quarantine.c.fields)
        ).all()
    assert sorted(map(tuple, rows)) == [
        ("nobody", "required", ["name"]),
        ("null", "required", ["name"]),
    ]


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_large_client_does_not_keep_a_small_one_waiting(desk: Desk) -> None:
    """B38: order within a file is kept; both are done in one run (memory: `make bench`)."""
    outcome = desk.sync([*people(300), person("Solo", "Tiny")])

    assert outcome.counts["create user"] == 301
    assert desk.user("Solo").client == "Tiny"


def test_newcomers_of_several_clients_find_the_site_that_their_records_name(
    desk: Desk, source: Source
) -> None:
    """One site name in every client; nobody's site is made a second time."""
    desk.mapping('[site]\nfrom = ["office_location"]\ncreate = true\n')
    clients = ("acme", "bolt")
    first = [who(f"A{one}", one, office_location="North") for one in clients]
    source.people = first
    desk.sync()
    sites = desk.rows(t.site)

    source.people = [*first, *(who(f"B{one}", one, office_location="North") for one in clients)]
    desk.sync()

    assert desk.rows(t.site) == sites
    assert len(desk.users()) == 4


# -- nothing depends on pages ----------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_no_outcome_depends_on_the_size_or_the_order_of_pages(desk: Desk, source: Source) -> None:
    """Two people swap addresses, a third takes one that was given up, a fourth is new."""
    pictures = []
    first = [who("Ada"), who("Bob"), who("Cy")]
    second = [
        who("Ada", mail="bob@acme.example"),
        who("Bob", mail="ada@acme.example"),
        who("Cy", mail="cyrus@acme.example"),
        who("New", mail="cy@acme.example"),
        who("Neu"),
    ]
    for size in (1, 2, 100):
        for order in (1, -1):
            desk.database.transact(_empty)
            source.page_size = size
            source.people = first
            desk.sync()
            source.people = second[::order]
            outcome = desk.sync()
            assert outcome.state == "succeeded", outcome
            pictures.append(json.dumps(desk.picture(), default=str))
    assert len(set(pictures)) == 1
    assert desk.user("New").values["email"] == "cy@acme.example"


def _empty(conn: Any) -> None:
    for table in reversed(t.metadata.sorted_tables):
        conn.execute(sa.delete(table))
