"""Identities that single sign-on will present: each belongs to one user, or to none and is told."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from syncd.changes import LinkState
from syncd.connectors.base import Deletes
from syncd.store import tables as t
from syncd.sync import applying
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


def unsettled(desk: Desk) -> set[str]:
    """Keys in the source that the next run looks at again."""
    with desk.database.read() as conn:
        c = t.link.c
        query = sa.select(c.key).where(c.digest.is_(None), c.state == LinkState.ALIVE)
        return set(conn.execute(query).scalars())


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


# -- what others did meanwhile ---------------------------------------------------------------------


def test_the_ledger_does_not_say_that_an_identity_was_gained_that_another_had_by_then(
    desk: Desk, source: Source
) -> None:
    source.people = [who(f"P{n}") for n in range(8)]
    desk.sync()
    source.people = [has("P0", "a", "b", job_title="Head"), has("P1", "c"), who("P7")]
    held = desk.sync()
    give(desk, "a", "P7")
    give(desk, "c", "P7")

    desk.approve(held.holds[0])

    assert told(desk, held) == {"p0": ([], [[IDP, "b"]])}
    assert desk.user("P0").values["job_title"] == "Head"
    assert holders(desk) == {"a": "P7", "b": "P0", "c": "P7"}
    desk.undo(held.run)
    assert "job_title" not in desk.user("P0").values
    assert holders(desk) == {"a": "P7", "c": "P7"}


@pytest.mark.parametrize("approved", [True, False])
def test_nor_does_it_say_so_of_a_newcomer(
    desk: Desk, source: Source, approved: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.people = [who(f"P{n}") for n in range(8)]
    desk.sync()
    stay = [who("P7")] if approved else source.people
    source.people = [*stay, has("New", "a", "b"), has("Newer", "c"), has("Newest", "d")]

    def meanwhile(point: str) -> None:
        if point == "apply.started":
            give(desk, "a", "P7")
            give(desk, "c", "P7")

    with monkeypatch.context() as patch:
        patch.setattr(applying, "reach", meanwhile)
        outcome = desk.sync()
        if approved:
            desk.approve(outcome.holds[0])

    gained = {"new": (None, [[IDP, "b"]]), "newest": (None, [[IDP, "d"]])}
    assert told(desk, outcome) == gained
    assert holders(desk) == {"a": "P7", "b": "New", "c": "P7", "d": "Newest"}
    assert {"New", "Newer", "Newest"} <= set(desk.names())
    assert unsettled(desk) == {"new", "newer"}
    desk.sync()
    assert unsettled(desk) == set()
    desk.undo(outcome.run)
    assert holders(desk) == {"a": "P7", "c": "P7"}


@pytest.mark.parametrize("made_by_the_run", [True, False])
def test_an_undo_leaves_an_identity_to_whoever_has_it_by_now(
    desk: Desk, source: Source, made_by_the_run: bool
) -> None:
    source.people = [who("Bob")] if made_by_the_run else [who("Ada"), who("Bob")]
    desk.sync()
    source.people = [has("Ada", "a", "b", job_title="Head"), who("Bob")]
    outcome = desk.sync()
    assert holders(desk) == {"a": "Ada", "b": "Ada"}
    give(desk, "a", "Bob")

    undone = desk.undo(outcome.run)

    assert holders(desk) == {"a": "Bob"}
    assert desk.names() == (["Bob"] if made_by_the_run else ["Ada", "Bob"])
    assert (undone.state, undone.code) == ("partial", "stale")
    with desk.database.read() as conn:
        c = t.change.c
        query = sa.select(c.before, c.reason).join(t.step, t.step.c.id == c.step_id)
        row = conn.execute(query.where(t.step.c.run_id == undone.run, c.key == "ada")).one()
    assert row[0]["identities"] == [[IDP, "b"]]
    assert "an identity of it is not this user's any more" in row[1]


def test_an_undo_that_finds_no_identity_of_its_own_says_that_it_did_nothing(
    desk: Desk, source: Source
) -> None:
    source.people = [who("Ada"), who("Bob")]
    desk.sync()
    source.people = [has("Ada", "a"), who("Bob")]
    outcome = desk.sync()
    give(desk, "a", "Bob")

    undone = desk.undo(outcome.run)

    assert holders(desk) == {"a": "Bob"}
    assert told(desk, undone) == {}
    assert undone.counts["stale"] == 1


def test_a_user_that_came_back_and_is_undone_again_gives_its_identity_back(
    desk: Desk, source: Source
) -> None:
    source.people = [has("Ada", "a")]
    first = desk.sync()
    desk.undo(first.run)
    desk.resume()
    second = desk.sync()
    assert holders(desk) == {"a": "Ada"}

    desk.undo(second.run)

    assert holders(desk) == {}
