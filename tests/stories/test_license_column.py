"""The license column of a spreadsheet: what it names is assigned, and withdrawn again."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from syncd.entities import Kind
from syncd.store import tables as t
from syncd.store.answers_explain import standing
from syncd.store.answers_runs import Asked, changes
from tests.stories.desk import CSV, Desk, people, person
from tests.stories.licenses import assign, pool
from tests.stories.test_gaps import unlink

Rows = list[dict[str, Any]]


def held(desk: Desk, name: str, provider: str = "people") -> dict[str, int]:
    """The licenses that a user has by the word of one source, by name."""
    found = standing(desk.database, Kind.USER, desk.user(name).id).licenses
    return {one.name: one.number for one in found if one.provider == provider}


def pools(desk: Desk) -> dict[tuple[str, str], int]:
    """(client, SKU) and how many are assigned, of all pools that have any."""
    c = t.license_pool.c
    query = sa.select(t.client.c.name, c.sku, c.assigned).join(
        t.client, t.client.c.id == c.client_id
    )
    with desk.database.read() as conn:
        return {(row[0], row[1]): int(row[2]) for row in conn.execute(query) if row[2]}


def moved(desk: Desk, run: int) -> dict[str, tuple[list[Any], list[Any]]]:
    """By user: [name, count] of what a run assigns, and of what it takes."""
    asked = changes(desk.database, Asked(run=run, limit=0))
    return {
        one.label.split(" <")[0]: (one.before.get("licenses", []), one.after.get("licenses", []))
        for one in asked
        if one.before.get("licenses") or one.after.get("licenses")
    }


def licensed(count: int, names: str) -> Rows:
    """Rows about so many people who all have the same licenses."""
    return [{**row, "Licenses": names} for row in people(count)]


# -- giving and taking -----------------------------------------------------------------------------


def test_new_people_get_what_their_rows_name(desk: Desk) -> None:
    outcome = desk.sync(
        [
            person("Ada", Licenses="Office+Visio"),
            person("Ben", Licenses="Office"),
            person("Cy", "Beta", Licenses="Office"),
            person("Dee", Licenses="Unlicensed"),
        ]
    )

    assert held(desk, "Ada") == {"Office": 1, "Visio": 1}
    assert held(desk, "Dee") == {}
    assert pools(desk) == {
        ("Acme", "Office"): 2,
        ("Acme", "Visio"): 1,
        ("Beta", "Office"): 1,
    }
    assert moved(desk, outcome.run)["Ada"] == ([["Office", 1], ["Visio", 1]], [])


def test_a_changed_cell_moves_licenses_and_nothing_else(desk: Desk) -> None:
    desk.sync([person("Ada", Licenses="Office+Visio"), person("Ben", Licenses="Office")])

    outcome = desk.sync(
        [person("Ada", Licenses="Office+Project"), person("Ben", Licenses="Office")]
    )

    assert outcome.counts["update user"] == 1
    assert moved(desk, outcome.run) == {"Ada": ([["Project", 1]], [["Visio", 1]])}
    assert held(desk, "Ada") == {"Office": 1, "Project": 1}
    assert pools(desk) == {("Acme", "Office"): 2, ("Acme", "Project"): 1}


def test_a_plan_names_licenses_of_which_nobody_had_any(desk: Desk) -> None:
    outcome = desk.plan([person("Ada", Licenses="Office")])

    assert moved(desk, outcome.run) == {"Ada": ([["Office", 1]], [])}
    assert pools(desk) == {}


def test_a_blank_cell_and_a_missing_column_say_nothing(desk: Desk) -> None:
    desk.sync([person("Ada", Licenses="Office"), person("Ben", Licenses="Office")])

    desk.sync([person("Ada", Job_Title="Boss", Licenses=""), person("Ben", Licenses="Office")])
    desk.sync([person("Ada", Job_Title="Chief"), person("Ben")])

    assert held(desk, "Ada") == held(desk, "Ben") == {"Office": 1}


def test_unlicensed_takes_all_that_this_source_gave(desk: Desk) -> None:
    desk.sync([person("Ada", Licenses="Office+Visio")])
    other = pool(desk, "intune")
    assign(desk, other, "Ada")

    desk.sync([person("Ada", Licenses="Unlicensed")])

    assert held(desk, "Ada") == {}
    assert held(desk, "Ada", "csp") == {"intune plan": 1}
    assert pools(desk) == {("Acme", "intune"): 1}


def test_the_same_sheet_again_books_nothing(desk: Desk) -> None:
    rows = [person("Ada", Licenses="Visio+Office")]
    desk.sync(rows)
    before = desk.rows(t.license_ledger, t.license_pool)

    desk.sync(rows)
    desk.sync([{**rows[0], "Licenses": "Office; Visio"}])
    desk.mapping('[user]\nadopt = true\nmatch = ["email"]')
    desk.sync(rows, full=True)

    assert desk.rows(t.license_ledger, t.license_pool) == before


def test_whom_a_file_finds_here_gets_what_it_names(desk: Desk) -> None:
    desk.sync([person("Ada")])
    desk.connect("more", "csv", {**CSV, "combined": "more.csv", "contents": "changes"})
    desk.reload()
    desk.write([person("Ada", Licenses="Office")], "more.csv")

    desk.sync_each("more")

    assert held(desk, "Ada", "more") == {"Office": 1}
    assert desk.names() == ["Ada"]


def test_each_source_speaks_of_its_own_licenses(desk: Desk) -> None:
    desk.sync([person("Ada", Licenses="Office")])
    desk.connect("more", "csv", {**CSV, "combined": "more.csv", "contents": "changes"})
    desk.reload()
    desk.write([person("Ada", Licenses="Visio")], "more.csv")
    desk.sync_each("more")
    assert (held(desk, "Ada"), held(desk, "Ada", "more")) == ({"Office": 1}, {"Visio": 1})

    desk.sync([person("Ada", Licenses="Project")])

    assert (held(desk, "Ada"), held(desk, "Ada", "more")) == ({"Project": 1}, {"Visio": 1})


def test_one_pool_is_made_by_many_pages(desk: Desk) -> None:
    desk.configure(page_size=2)

    desk.sync(licensed(7, "Office"))

    assert pools(desk) == {("Acme", "Office"): 7}


def test_who_is_set_aside_gets_none(desk: Desk) -> None:
    twin = {**person("Ida", Licenses="Office"), "E-mail": "ada@acme.example"}

    desk.sync([person("Ada", Licenses="Office"), twin, person("Ben", Licenses="Office")])

    assert desk.names() == ["Ben"]
    assert pools(desk) == {("Acme", "Office"): 1}


def test_a_user_who_moves_has_the_licenses_of_the_new_client(desk: Desk) -> None:
    staff = [*people(3), person("Eve", "Beta")]
    desk.sync([person("Ada", Licenses="Office"), *staff])
    desk.sync([person("Ada", "Beta", Licenses="Office"), *staff])
    (hold,) = desk.holds()
    desk.approve(hold.id)

    assert desk.user("Ada").client == "Beta"
    assert held(desk, "Ada") == {"Office": 1}
    assert pools(desk) == {("Beta", "Office"): 1}


# -- leavers ---------------------------------------------------------------------------------------

RELEASING = (
    '[gone]\ndisabled = { action = "deactivate", after = [], release_licenses = true }\n'
    'absent = { action = "deactivate", after = [], release_licenses = true }\n'
)


def test_who_is_disabled_by_a_rule_that_frees_licenses_gets_none_until_back(desk: Desk) -> None:
    desk.mapping(RELEASING)
    staff = people(10)
    desk.sync([person("Ada", Licenses="Office", Active="yes"), *staff])

    desk.sync([person("Ada", Licenses="Office", Active="no"), *staff])
    assert (held(desk, "Ada"), desk.user("Ada").active) == ({}, False)
    desk.sync([person("Ada", Licenses="Office+Visio", Active="no"), *staff])
    assert held(desk, "Ada") == {}
    desk.sync([person("Ada", Licenses="Office+Visio", Active="yes"), *staff])
    assert (held(desk, "Ada"), desk.user("Ada").active) == ({"Office": 1, "Visio": 1}, True)


def test_who_is_disabled_otherwise_has_what_the_sheet_says(desk: Desk) -> None:
    staff = people(10)
    desk.sync([person("Ada", Licenses="Office", Active="yes"), *staff])

    desk.sync([person("Ada", Licenses="Office+Visio", Active="no"), *staff])

    assert (held(desk, "Ada"), desk.user("Ada").active) == ({"Office": 1, "Visio": 1}, False)


def test_who_is_gone_and_comes_back_has_them_again(desk: Desk) -> None:
    desk.mapping(RELEASING)
    staff = people(10)
    desk.sync([person("Ada", Licenses="Office"), *staff])
    desk.sync(staff)
    assert (held(desk, "Ada"), pools(desk)) == ({}, {})

    desk.sync([person("Ada", Licenses="Office"), *staff])

    assert (held(desk, "Ada"), desk.user("Ada").active) == ({"Office": 1}, True)


# -- guards and undo -------------------------------------------------------------------------------


def test_a_sheet_that_takes_too_many_licenses_is_held(desk: Desk) -> None:
    desk.sync(licensed(30, "Office+Visio"))

    outcome = desk.sync(licensed(30, "Unlicensed"))

    assert outcome.state == "held"
    assert "60 of 60 assigned licenses would be released" in str(desk.holds())
    assert pools(desk) == {("Acme", "Office"): 30, ("Acme", "Visio"): 30}


def test_a_plan_that_waited_finds_the_pools_of_clients_that_were_merged(desk: Desk) -> None:
    staff = people(30)
    desk.sync([*staff, person("Eve", "Beta", Licenses="Office")])
    news = [{**row, "Licenses": "Office"} for row in staff[20:]]
    desk.sync([*news, person("Eve", "Beta", Licenses="Office")])
    (hold,) = desk.holds()
    desk.merge(desk.client("Acme"), desk.client("Beta"), Kind.CLIENT)
    assert pools(desk) == {("Acme", "Office"): 1}

    desk.approve(hold.id)

    assert pools(desk) == {("Acme", "Office"): 11}


def test_a_few_licenses_may_go(desk: Desk) -> None:
    desk.sync(licensed(30, "Office"))

    outcome = desk.sync([*licensed(30, "Office")[10:], *licensed(10, "Unlicensed")])

    assert outcome.state == "succeeded"
    assert pools(desk) == {("Acme", "Office"): 20}


def test_an_undo_gives_and_takes_licenses_back(desk: Desk) -> None:
    desk.sync([person("Ada", Licenses="Office+Visio"), person("Ben")])
    run = desk.sync([person("Ada", Licenses="Project"), person("Ben", Licenses="Visio")]).run

    desk.undo(run)

    assert held(desk, "Ada") == {"Office": 1, "Visio": 1}
    assert held(desk, "Ben") == {}
    assert pools(desk) == {("Acme", "Office"): 1, ("Acme", "Visio"): 1}


def test_an_undone_creation_holds_no_license(desk: Desk) -> None:
    desk.sync([person("Ada", Licenses="Office")])
    run = desk.sync([person("Ada", Licenses="Office"), person("Ben", Licenses="Office")]).run

    desk.undo(run)
    assert pools(desk) == {("Acme", "Office"): 1}
    desk.resume()
    desk.sync()

    assert held(desk, "Ben") == {"Office": 1}
    assert pools(desk) == {("Acme", "Office"): 2}


def test_an_undo_takes_only_what_is_still_there(desk: Desk) -> None:
    desk.sync([person("Ada")])
    run = desk.sync([person("Ada", Licenses="Office+Visio")]).run
    desk.sync([person("Ada", Licenses="Office")])

    desk.undo(run)

    assert held(desk, "Ada") == {}
    assert pools(desk) == {}


def test_an_undo_that_keeps_stands_against_the_sheet(desk: Desk) -> None:
    desk.sync([person("Ada", Licenses="Office")])
    run = desk.sync([person("Ada", Licenses="Office+Visio")]).run

    desk.undo(run, keep=True)
    desk.resume()
    outcome = desk.sync([person("Ada", Licenses="Office+Visio+Project")])
    assert (held(desk, "Ada"), outcome.counts.get("stale")) == ({"Office": 1}, None)
    assert moved(desk, outcome.run) == {}
    desk.release("Ada", "licenses")
    desk.sync()

    assert held(desk, "Ada") == {"Office": 1, "Project": 1, "Visio": 1}


def test_two_rows_of_one_user_say_it_together(desk: Desk) -> None:
    rows = [person("Ada", Licenses="Office"), person("Ida", Licenses="Visio")]
    desk.sync(rows)
    desk.merge(desk.user("Ada").id, desk.user("Ida").id)
    assert held(desk, "Ada") == {"Office": 1, "Visio": 1}

    desk.sync([person("Ada", Licenses="Project"), person("Ida", Licenses="Unlicensed")])
    assert held(desk, "Ada") == {"Project": 1}
    desk.sync([person("Ada", Licenses="Office"), person("Ida", Licenses="Office")])
    assert held(desk, "Ada") == {"Office": 1}
    desk.sync([person("Ada", Licenses="Unlicensed"), person("Ida", Licenses="Visio")])
    desk.sync([person("Ada", Licenses="Visio"), person("Ida", Licenses="Office")])

    assert held(desk, "Ada") == {"Office": 1, "Visio": 1}
    desk.sync([person("Ada", Licenses="Office"), person("Ida", Licenses="Unlicensed")])
    assert held(desk, "Ada") == {"Office": 1}
    desk.sync([person("Ada", Licenses="Unlicensed"), person("Ida", Licenses="Office")])
    assert held(desk, "Ada") == {"Office": 1}
    assert pools(desk) == {("Acme", "Office"): 1}


def test_a_record_that_is_unlinked_takes_its_licenses_with_it(desk: Desk) -> None:
    desk.sync([person("Ada", Licenses="Office"), person("Ida", Licenses="Visio")])
    desk.merge(desk.user("Ada").id, desk.user("Ida").id)

    run = unlink(desk, "ida")
    assert held(desk, "Ada") == {"Office": 1}
    desk.undo(run)

    assert held(desk, "Ada") == {"Office": 1, "Visio": 1}


def test_a_row_that_goes_takes_what_no_other_row_says(desk: Desk) -> None:
    staff = people(10)
    desk.sync([person("Ada", Licenses="Office"), person("Ida", Licenses="Visio"), *staff])
    desk.merge(desk.user("Ada").id, desk.user("Ida").id)

    desk.sync([person("Ada", Licenses="Office"), *staff])

    assert (held(desk, "Ada"), desk.user("Ada").active) == ({"Office": 1}, True)
