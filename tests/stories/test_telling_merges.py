"""What is told of a merge: beforehand as afterwards, and which is which of two of one name."""

from __future__ import annotations

import re
from uuid import UUID

import pytest
import sqlalchemy as sa

from syncd.cli import describe
from syncd.entities import Kind, new_id
from syncd.store import answers_runs
from syncd.store import tables as t
from syncd.sync import editing
from tests.stories import licenses
from tests.stories.desk import Desk
from tests.stories.source import Source, who


@pytest.fixture
def offices(desk: Desk, source: Source) -> Desk:
    """Two clients with a site, users, pools and subscriptions each; of these they share one."""
    source.people = [
        who("Ada", identities=[["iss", "a1"]]),
        who("Bob", identities=[["iss", "b1"], ["iss", "b2"]]),
        who("Cy", organization="bolt"),
    ]
    desk.sync()
    for client in ("Acme", "Bolt"):
        for sku in ("E3", *(("P1", "P2") if client == "Bolt" else ())):
            licenses.pool(desk, sku, client)
            subscribe(desk, client, sku)
    return desk


def subscribe(desk: Desk, client: str, reference: str) -> None:
    row = {"id": new_id(), "client_id": desk.client(client), "provider": "csp"}
    row |= {"active": True, "provenance": {"*": "csp"}, "retired": False}
    with desk.database.engine.begin() as conn:
        conn.execute(sa.insert(t.subscription).values(**row, reference=reference))


def told(desk: Desk, run: int) -> list[str]:
    """All that is said of the changes of a run, without what the run itself is."""
    changes = answers_runs.changes(desk.database, answers_runs.Asked(run=run, limit=0))
    return [line.strip() for change in changes for line in describe.change_lines(change)]


@pytest.mark.parametrize(
    ("kind", "counted"),
    [
        (Kind.USER, {"records: 1 -> 0", "identities: 2 -> 0"}),
        (Kind.CLIENT, {"records: 1 -> 0", "pools: 2 -> 0", "subscriptions: 2 -> 0"}),
    ],
)
def test_what_would_go_along_is_counted_beforehand_as_afterwards(
    offices: Desk, kind: Kind, counted: set[str]
) -> None:
    kept, gone = pair(offices, kind)
    before = told(offices, offices.merge(kept, gone, kind, look=True).run)
    after = told(offices, offices.merge(kept, gone, kind).run)

    assert before == after
    assert counted <= {*before}


def pair(desk: Desk, kind: Kind) -> tuple[UUID, UUID]:
    if kind is Kind.USER:
        return desk.user("Ada").id, desk.user("Bob").id
    return desk.client("Acme"), desk.client("Bolt")


def test_two_of_one_name_are_told_apart_where_one_takes_the_place_of_the_other(
    offices: Desk,
) -> None:
    kept, gone = pair(offices, Kind.CLIENT)
    editing.set_values(offices.engine, Kind.CLIENT, gone, {"name": "Acme"}, "boss")

    lines = told(offices, offices.merge(kept, gone, Kind.CLIENT).run)

    assert f'client: "Acme ({gone})" -> "Acme ({kept})"' in lines
    assert re.search(r'site: "Main \([0-9a-f-]{36}\)" -> "Main \([0-9a-f-]{36}\)"', str(lines))
    assert any(line.startswith("move user  Cy <cy@bolt.example>, Acme: ") for line in lines)


def test_two_of_different_names_are_told_by_these_and_their_sites_too(offices: Desk) -> None:
    lines = told(offices, offices.merge(*pair(offices, Kind.CLIENT), Kind.CLIENT).run)
    assert 'client: "Bolt" -> "Acme"' in lines
    assert 'site: "Main (Bolt)" -> "Main (Acme)"' in lines
