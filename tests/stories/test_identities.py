"""Identities that single sign-on will present: each belongs to one user, or to none and is told."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from syncd.connectors.base import Deletes
from syncd.store import tables as t
from syncd.sync.flow import Outcome
from tests.stories.desk import Desk, Row, person
from tests.stories.source import Source, who
from tests.stories.writes import count_writes

IDP = "https://idp.example"
TENANT = "11111111-2222-3333-4444-555555555555"


def entra(name: str, oid: str, **more: object) -> Row:
    """A row about someone with an object id of Entra."""
    return person(name, **{"azureoid": oid, "azure_tenant_id": TENANT, **more})


def has(name: str, *subjects: str, **more: object) -> Any:
    """An item about someone with identities."""
    return who(name, identities=[[IDP, one] for one in subjects], **more)


def holders(desk: Desk) -> dict[str, str]:
    """Subject to the name of the user that has it."""
    with desk.database.read() as conn:
        c, u = t.identity.c, t.user.c
        rows = conn.execute(sa.select(c.subject, u.name).join(t.user, u.id == c.user_id)).all()
        return {row[0]: row[1] for row in rows}


def told(desk: Desk, outcome: Outcome) -> dict[str, tuple[Any, Any]]:
    """Key to the identities before and after, of the changes in force that name any."""
    c = t.change.c
    query = sa.select(c.key, c.before, c.after).join(t.step, t.step.c.id == c.step_id)
    query = query.where(t.step.c.run_id == outcome.run, c.outcome.is_(None))
    with desk.database.read() as conn:
        return {
            row[0]: (row[1].get("identities"), row[2].get("identities"))
            for row in conn.execute(query)
            if "identities" in row[1] or "identities" in row[2]
        }


def give(desk: Desk, subject: str, name: str) -> None:
    """Somebody else's doing: the identity is this user's now."""
    values = {"issuer": IDP, "subject": subject, "user_id": desk.user(name).id, "connection": "x"}
    with desk.database.engine.begin() as conn:
        conn.execute(sa.delete(t.identity).where(t.identity.c.subject == subject))
        conn.execute(sa.insert(t.identity).values(values))


# -- several claim one -----------------------------------------------------------------------------


@pytest.mark.parametrize("page_size", [1, 100])
@pytest.mark.parametrize("backwards", [False, True])
def test_of_two_linked_rows_with_one_identity_none_gets_it_and_both_get_all_else(
    desk: Desk, page_size: int, backwards: bool
) -> None:
    desk.configure(page_size=page_size)
    desk.sync([person("Ada"), person("Bob"), person("Cy")])
    rows = [entra("Ada", "O1", Title="Head"), entra("Bob", "O1"), entra("Cy", "O3")]
    rows = rows[::-1] if backwards else rows

    planned = desk.plan(rows)
    outcome = desk.sync()

    assert told(desk, planned).keys() == told(desk, outcome).keys() == {"cy"}
    assert planned.counts["quarantined"] == outcome.counts["quarantined"] == 2
    assert holders(desk) == {"o3": "Cy"}
    assert desk.user("Ada").values["job_title"] == "Head"
    assert {key for _, key, _ in desk.changes(outcome.run)} == {"ada", "cy"}
    assert desk.quarantine() == {"ada": "shared_identity", "bob": "shared_identity"}
    assert (outcome.state, outcome.code) == ("partial", "quarantine")


def test_contested_rows_are_looked_at_by_every_run_and_written_by_none(desk: Desk) -> None:
    desk.sync([person("Ada"), person("Bob")])
    rows = [entra("Ada", "O1"), entra("Bob", "O1"), entra("New", "O1")]
    desk.sync(rows)
    assert desk.quarantine() == {
        "ada": "shared_identity",
        "bob": "shared_identity",
        "new": "shared_key",
    }
    before = desk.rows()

    tables = (t.user, t.identity, t.link, t.item, t.item_history, t.quarantine)
    with count_writes(desk.database, *tables) as written:
        again = desk.sync()
        assert written() == {}

    assert desk.rows() == before
    assert again.counts["quarantined"] == 0
    desk.sync([entra("Ada", "O1"), entra("Bob", "O2")])
    assert holders(desk) == {"o1": "Ada", "o2": "Bob"}
    assert desk.quarantine() == {}


@pytest.mark.parametrize("backwards", [False, True])
def test_a_newcomer_that_claims_what_a_linked_row_gains_is_set_aside(
    desk: Desk, backwards: bool
) -> None:
    desk.configure(page_size=1)
    desk.sync([person("Ada"), person("Bob")])
    rows = [entra("Ada", "O1"), person("Bob"), entra("New", "O1"), entra("Zoe", "O4")]

    desk.sync(rows[::-1] if backwards else rows)

    assert desk.names() == ["Ada", "Bob", "Zoe"]
    assert holders(desk) == {"o4": "Zoe"}
    assert desk.quarantine() == {"ada": "shared_identity", "new": "shared_key"}
    desk.sync([entra("Ada", "O1"), person("Bob"), entra("Zoe", "O4")])
    assert holders(desk) == {"o1": "Ada", "o4": "Zoe"}
    assert desk.quarantine() == {}


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_newcomers_with_one_identity_are_set_aside_whatever_the_mapping_matches_by(
    desk: Desk,
) -> None:
    desk.mapping('[user]\nmatch = ["email"]')

    desk.sync([entra("Ada", "O1"), entra("Bob", "O1"), entra("Cy", "O3")])

    assert holders(desk) == {"o3": "Cy"}
    assert desk.quarantine() == {"ada": "shared_key", "bob": "shared_key"}


@pytest.mark.parametrize("page_size", [1, 100])
def test_what_is_not_contested_is_gained_all_the_same(
    desk: Desk, source: Source, page_size: int
) -> None:
    source.people = [who("Ada"), who("Bob")]
    desk.sync()
    source.page_size = page_size
    source.people = [has("Ada", "a", "both"), has("Bob", "both", "b")]

    outcome = desk.sync()

    assert holders(desk) == {"a": "Ada", "b": "Bob"}
    assert told(desk, outcome) == {"ada": ([], [[IDP, "a"]]), "bob": ([], [[IDP, "b"]])}
    assert desk.quarantine() == {"ada": "shared_identity", "bob": "shared_identity"}


def test_one_record_on_two_pages_does_not_contest_itself(desk: Desk, source: Source) -> None:
    source.people = [who("Ada"), who("Bob")]
    desk.sync()
    source.people, source.page_size = [has("Ada", "a"), has("Bob", "b"), has("Ada", "a")], 2

    desk.sync()

    assert holders(desk) == {"a": "Ada", "b": "Bob"}
    assert desk.quarantine() == {}


def test_who_is_back_with_a_contested_identity_is_back_without_it(
    desk: Desk, source: Source
) -> None:
    desk.mapping('[gone]\nabsent = { action = "keep" }')
    source.people = [who("Ada"), who("Bob")]
    desk.sync()
    source.people = [who("Bob")]
    desk.sync()
    assert desk.links() == {"ada": "gone", "bob": "alive"}
    source.people = [has("Ada", "both"), has("Bob", "both")]

    outcome = desk.sync()

    assert desk.changes(outcome.run) == [("link", "ada", "it is back in the source")]
    assert desk.links() == {"ada": "alive", "bob": "alive"}
    assert holders(desk) == {}


def test_a_contest_ends_although_only_one_of_them_is_sent_again(desk: Desk, source: Source) -> None:
    source.deletes, source.cursor = Deletes.TOMBSTONE, "c1"
    source.people = [who("Ada"), who("Bob")]
    desk.sync()
    source.people, source.cursor = [has("Ada", "both"), has("Bob", "both")], "c2"
    desk.sync()
    source.people, source.cursor = [], "c3"
    desk.sync()
    assert (holders(desk), len(desk.quarantine())) == ({}, 2)
    source.people = [has("Bob", "b")]

    desk.sync()

    assert holders(desk) == {"both": "Ada", "b": "Bob"}
    assert desk.quarantine() == {}


@pytest.mark.parametrize("backwards", [False, True])
def test_an_identity_stays_where_it_is_when_another_record_names_it(
    desk: Desk, source: Source, backwards: bool
) -> None:
    """Sources only ever give identities: what Ada no longer names is still hers."""
    source.people = [has("Ada", "a"), who("Bob")]
    desk.sync()
    source.page_size = 1
    source.people = [who("Ada"), has("Bob", "a")]
    source.people = source.people[::-1] if backwards else source.people

    desk.sync()

    assert holders(desk) == {"a": "Ada"}
