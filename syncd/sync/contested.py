"""Identities that several records claim in one read: nobody gains them, and a person is told.

A record that is linked keeps everything else that it says. Its link stays unsettled, so that every
later run looks again; while the claims are what they were, that writes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from syncd.changes import (
    Action,
    Change,
    LinkState,
    LinkWrite,
    Quarantined,
    gained_identities,
)
from syncd.mapping.match import identity_claims
from syncd.mapping.users import RETURNED
from syncd.store import unsaying
from syncd.store.database import Transaction
from syncd.store.drafted import DraftPage
from syncd.store.target.apply import load_changes
from syncd.sync.step import Step

CODE = "shared_identity"


@dataclass(slots=True)
class _Rest:
    """What stays of a page: changes that say less, places of changes that say nothing, and of
    links that say what is stored.
    """

    shorter: list[Change] = field(default_factory=list)
    empty: list[int] = field(default_factory=list)
    quiet: set[int] = field(default_factory=set)


def leave_out(
    step: Step, contested: Collection[int], places: Mapping[int, Collection[int]]
) -> dict[int, set[int]]:
    """Take contested identities out of what linked records gain; per page the places of links that
    then say nothing new.
    """
    quiet: dict[int, set[int]] = defaultdict(set)
    for number, chosen in sorted(places.items()):
        if chosen:
            quiet[number] = _leave_out_of_page(step, contested, number, sorted(chosen))
    return quiet


def _leave_out_of_page(
    step: Step, contested: Collection[int], number: int, chosen: list[int]
) -> set[int]:
    with step.facts.open():
        page = step.draft.page(step.facts.conn, number)
        rest = _without(step, contested, page, chosen)
        links = [page.body.links[at] for at in chosen]
        fresh = step.not_yet_aside(links[0].stream, [_told(link) for link in links])
    told = {(link.stream, link.key) for link in links}
    page.body.quarantined += fresh
    page.body.healed = [pair for pair in page.body.healed if pair not in told]

    def write(conn: Transaction) -> None:
        unsaying.shorten(conn, step.id, rest.shorter)
        unsaying.remove(step.database, conn, step.id, [page.first_seq + at for at in rest.empty])
        step.draft.rewrite(conn, page)

    step.write(write)
    step.counts["quarantined"] += len(fresh)
    return rest.quiet


def _without(step: Step, contested: Collection[int], page: DraftPage, chosen: list[int]) -> _Rest:
    """The page's links, changed in place, and what stays of their changes."""
    rest, links, conn = _Rest(), page.body.links, step.facts.conn
    first, end = page.first_seq, page.next_seq  # a linked record is never created
    changes = load_changes(step.database, conn, step.id, first, end, creations=False)
    stream = links[chosen[0]].stream  # of people: nobody else has identities
    before = step.facts.links(stream, [links[at].key for at in chosen])
    for at in chosen:
        change = changes[links[at].change]
        _shorten(change, contested)
        links[at] = links[at]._replace(digest=None)
        if change.after:
            rest.shorter.append(change)
        elif before[links[at].key].state in (LinkState.MISSED, LinkState.GONE):
            change.action, change.reason = Action.LINK, RETURNED
            rest.shorter.append(change)
        else:
            rest.empty.append(links[at].change)
            links[at] = links[at]._replace(change=-1)
    silent = {links[at].key: at for at in chosen if links[at].change < 0}
    stored = unsaying.stored_alike(
        step.database,
        conn,
        step.lease.partition,
        stream,
        [links[at] for at in silent.values()],
    )
    rest.quiet = {silent[key] for key in stored}
    return rest


def _shorten(change: Change, contested: Collection[int]) -> None:
    given = gained_identities(change)
    left = [one for one in given if identity_claims([one]).isdisjoint(contested)]
    if left:
        change.after["identities"] = left
    else:
        del change.after["identities"]
        change.before.pop("identities", None)


def _told(link: LinkWrite) -> Quarantined:
    message = (
        "other records of this source claim the same sign-in identity: none of them gets it; "
        "everything else of this record counts"
    )
    return Quarantined(link.stream, link.key, CODE, message, ("identity",), link.raw)
