"""Licenses and subscriptions: found by the provider's own ids within a client, and made as told.

Which one a record is about is never guessed: the provider and its id say so. Where several sources
tell of one, it has several links, and precedence decides field by field: nothing is ever added up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from syncd.changes import (
    LICENSES,
    Action,
    Change,
    Effect,
    LinkFact,
    LinkState,
    Situation,
    in_force,
)
from syncd.entities import REFERENCE_OF, Entity, Kind, holding_id
from syncd.mapping.contributions import Contribution
from syncd.mapping.match import NEW, Match
from syncd.mapping.page import KIND_OF, STREAM_OF, Candidate, Context, Page, creation, update
from syncd.mapping.places import contribution, in_turn, said_of, update_place
from syncd.mapping.values import Difference, difference
from syncd.records import License, Subscription

ADDED = "the source tells of it"
STREAMS = {KIND_OF[record]: STREAM_OF[record] for record in (License, Subscription)}


@dataclass(slots=True)
class Made:
    """What this plan makes: as it is by now, and all that was said of it."""

    entity: Entity
    said: list[Contribution]


class Home(NamedTuple):
    """What a holding is, whoever tells of it."""

    client: UUID
    provider: str
    reference: str


def plan_holdings(work: Context, candidates: list[Candidate], page: Page) -> None:
    """Decide on records of one kind: those of what is there are updates, others make it."""
    kind = KIND_OF[type(candidates[0].record)]
    placed = _placed(work, candidates, page)
    there = _there(work, kind, {home for _, home in placed})
    stored = work.latest(kind, set(there.values()))
    known: list[tuple[Candidate, Entity]] = []
    missing: dict[Home, list[Candidate]] = defaultdict(list)
    for one, home in placed:
        entity = stored.get(there[home]) if home in there else None
        if entity is None or entity.retired:
            missing[home].append(one)
        else:
            known.append((one, entity))
    for turn in in_turn(work, known):
        said = said_of(work, kind, turn)
        for one, entity in turn:
            if kind is Kind.LICENSE and one.link and one.link.state is LinkState.GONE:
                work.again |= work.facts.once_in(entity.id)
            update_place(work, one, entity, said[one.key], page, _match(one, entity))
    for home, ones in missing.items():
        _create(work, home, ones, stored.get(there[home]) if home in there else None, page)


def plan_gone_holding(
    work: Context,
    link: LinkFact,
    entity: Entity,
    others: Sequence[Contribution],
    why: str,
    page: Page,
) -> int:
    """Decide on what a source does not tell of any more: the place of the change. Where no other
    source does, none is left, and nobody has any.
    """
    diff, rest = difference(entity, others, work.precedence), "other sources still tell of it"
    speaking = any(one.speaks for one in others)
    if not speaking:
        rest = "none is left"
        diff = Difference()
        for name, left in (("active", False), ("bought", "0"), ("consumed", "0")):
            if entity.values.get(name) not in (None, left):
                diff.set(name, entity.values[name], left)
    change = Change(
        *(entity.kind, Action.GONE, entity.id, entity.client, STREAMS[entity.kind], link.key),
        f"{why}; {rest}",
        diff.after,
        diff.before,
        effects=diff.effects,
    )
    place = page.change(change)
    if entity.kind is Kind.LICENSE and not speaking:
        _release(work, entity, page)
    return place


def _release(work: Context, pool: Entity, page: Page) -> None:
    """Take the licenses of a pool that is gone from all who have any."""
    for user, client, count in work.facts.holders_of(pool.id):
        lost = {LICENSES: [[pool.id.hex, count]]}
        why = "the source does not tell of these licenses any more"
        page.change(
            Change(
                *(Kind.USER, Action.UPDATE, user, client, "", str(pool.values.get("sku"))),
                why,
                lost,
                {LICENSES: []},
                effects=int(Effect.LICENSE_LOSS),
            )
        )


def _placed(
    work: Context, candidates: Sequence[Candidate], page: Page
) -> list[tuple[Candidate, Home]]:
    """The records whose organization is a client here; the others wait for it."""
    work.directory.load_clients(_record(one).organization for one in candidates)
    placed = []
    for one in candidates:
        record = _record(one)
        client = work.directory.clients.get(record.organization)
        if client is None:
            message = "its organization is not tied to any client"
            page.quarantine(one, "unknown_client", message, ("organization",))
        else:
            reference = record.sku if isinstance(record, License) else record.reference
            placed.append((one, Home(client.id, record.provider, reference)))
    return placed


def _there(work: Context, kind: Kind, homes: set[Home]) -> dict[Home, UUID]:
    """Those that are stored, retired ones too."""
    found: dict[Home, UUID] = {}
    for provider in {home.provider for home in homes}:
        clients = {home.client for home in homes if home.provider == provider}
        for (client, reference), one in work.facts.holdings(kind, provider, clients).items():
            found[Home(client, provider, reference)] = one
    return {home: one for home, one in found.items() if home in homes}


def _match(one: Candidate, entity: Entity) -> Match:
    if one.link is not None and one.link.entity == entity.id:
        return NEW
    return Match(Situation.MATCHED, entity.id, REFERENCE_OF[entity.kind])


def _create(
    work: Context, home: Home, ones: Sequence[Candidate], retired: Entity | None, page: Page
) -> None:
    """Make what is not there, of all records that tell of it; the first one's values stand."""
    ones = sorted(ones, key=lambda one: one.key)
    first, kind = ones[0], KIND_OF[type(ones[0].record)]
    if made := work.directory.made_holdings.get((kind, *home)):
        for one in ones:
            _join(work, made, one, page)
        return
    values = {name: value for one in reversed(ones) for name, value in one.mapped.values.items()}
    why = "its id is back: the one that was retired" if retired else ADDED
    id_ = holding_id(kind, *home)
    change = creation(first, home.client, values, why, retired, entity=id_)
    page.link(first, change.entity, page.change(change))
    for one in ones[1:]:
        page.link(one, change.entity, rule=REFERENCE_OF[kind])
    blank = retired or Entity(id_, kind, home.client, None, {}, {}, {}, retired=False)
    entity = in_force(blank, change.after, work.precedence.connection)
    said = [contribution(work, one) for one in ones]
    work.directory.made_holdings[kind, *home] = Made(entity, said)
    if kind is Kind.LICENSE:
        work.directory.add_pool(home.provider, home.client, home.reference, change.entity)


def _join(work: Context, made: Made, one: Candidate, page: Page) -> None:
    """Add what another record says of what an earlier page of this very plan makes."""
    made.said.append(contribution(work, one))
    diff, place = difference(made.entity, made.said, work.precedence), -1
    if diff:
        why = "another record tells of it as well"
        place = page.change(update(one, made.entity, diff, Action.UPDATE, why))
        made.entity = in_force(made.entity, diff.after, work.precedence.connection)
    page.link(one, made.entity.id, place, rule=REFERENCE_OF[made.entity.kind])


def _record(one: Candidate) -> License | Subscription:
    assert isinstance(one.record, License | Subscription)
    return one.record
