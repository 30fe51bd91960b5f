"""Locations to sites; the site of each person: a location, an attribute, a domain, or Main."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from syncd import keys
from syncd.changes import PERSON, Action, Change, Situation
from syncd.entities import Entity, Kind, new_id
from syncd.mapping.contributions import Contribution
from syncd.mapping.match import NEW, Match, Subject, claims
from syncd.mapping.page import Candidate, Context, Page, created_values, creation
from syncd.mapping.places import Newcomer, in_turn, said_of, sort_out, update_place
from syncd.mapping.view import ClientRef, SiteRef
from syncd.mapping.words import match_all
from syncd.records import Location


def plan_sites(work: Context, candidates: list[Candidate], page: Page) -> None:
    """Decide on locations: linked ones are updated, others matched in their client or created."""
    work.directory.load_clients(_location(one).organization for one in candidates)
    ids = {one.link.entity for one in candidates if one.link and one.link.entity}
    newcomers, known = sort_out(candidates, work.latest(Kind.SITE, ids))
    for turn in in_turn(work, known):
        said = said_of(work, Kind.SITE, turn)
        for one, entity in turn:
            _update(work, one, entity, said[one.key], page)
    if newcomers:
        _plan_newcomers(work, newcomers, page)


def _plan_newcomers(work: Context, newcomers: list[Newcomer], page: Page) -> None:
    rules = work.rules.site.match
    placed: list[tuple[Newcomer, ClientRef]] = []
    for new in newcomers:
        client = work.directory.clients.get(_location(new.one).organization)
        if client is None:
            page.quarantine(new.one, "unknown_client", "its organization is not tied to any client")
        else:
            placed.append((new, client))
    subjects = [
        Subject(keys.keys(Kind.SITE, new.one.mapped.values), client.id, client.new)
        for new, client in placed
    ]
    ones = [new.one for new, _ in placed]
    matches = match_all(Kind.SITE, "locations", rules, ones, subjects, work.facts)
    ids = {match.entity for match in matches if match.entity}
    stored = work.facts.entities(Kind.SITE, ids) if ids else {}
    matched = [
        (new.one, stored[match.entity])
        for (new, _), match in zip(placed, matches, strict=True)
        if match.entity in stored
    ]
    said = said_of(work, Kind.SITE, matched)
    for (new, client), subject, match in zip(placed, subjects, matches, strict=True):
        link = _decide(work, new, client, match, stored, said, page)
        if link is not None:
            for claim in claims(Kind.SITE, rules, subject, match):
                page.out.claims.append((claim, link))


def _decide(
    work: Context,
    new: Newcomer,
    client: ClientRef,
    match: Match,
    stored: dict[UUID, Entity],
    said: dict[str, list[Contribution]],
    page: Page,
) -> int | None:
    one = new.one
    if match.situation is Situation.MATCHED and match.entity in stored:
        return _update(work, one, stored[match.entity], said[one.key], page, match)
    if match.situation is Situation.AMBIGUOUS:
        rivals = ",".join(rival.hex for rival in match.rivals[:5])
        page.quarantine(one, match.code or "ambiguous_site", match.why, match.fields, rivals)
        return None
    if match.rule == PERSON:
        return _create(work, new, client, page, match)
    if not work.rules.mapping.site.create:
        page.quarantine(one, "unknown_site", "no site matches and the mapping creates none")
        return None
    return _create(work, new, client, page, match)


def _create(work: Context, new: Newcomer, client: ClientRef, page: Page, match: Match) -> int:
    one, retired = new.one, new.retired
    values = created_values(one.mapped)
    is_main = keys.key(Kind.SITE, "name", str(values.get("name", ""))) == _main_name(work, client)
    if is_main:
        values["role"] = "main"
    reason = "its key is back: the site that was retired" if retired else "a new location"
    if match.rule == PERSON:
        reason = match.why
    change = creation(one, client.id, values, reason, retired, match)
    if is_main:
        work.directory.special[client.id, "main"] = change.entity
    work.directory.sites[one.key] = SiteRef(change.entity, client.id)
    work.directory.add_site(client.id, change.entity, values)
    return page.link(one, change.entity, page.change(change))


def _update(
    work: Context,
    one: Candidate,
    entity: Entity,
    said: list[Contribution],
    page: Page,
    match: Match = NEW,
) -> int:
    if entity.client:
        work.directory.sites[one.key] = SiteRef(entity.id, entity.client)
    return update_place(work, one, entity, said, page, match)


def _location(candidate: Candidate) -> Location:
    assert isinstance(candidate.record, Location)
    return candidate.record


def _main_name(work: Context, client: ClientRef) -> str:
    name = client.main_site_name or work.rules.mapping.site.main
    return keys.key(Kind.SITE, "name", name)


# -- the site of a person --------------------------------------------------------------------------


def load_for(work: Context, placed: Sequence[tuple[Sequence[Contribution], ClientRef]]) -> None:
    """Look up, for a page of people, every site that `site_of` will ask about."""
    directory = work.directory
    clients = {client.id: client for _, client in placed}
    directory.load_special(clients.values())
    said = [(one, client.id) for some, client in placed for one in some if one.speaks]
    names = [
        (client, keys.key(Kind.SITE, "name", one.mapped.site_name))
        for one, client in said
        if one.mapped and one.mapped.site_name
    ]
    mains = [(client.id, _main_name(work, client)) for client in clients.values()]
    directory.load_named([*names, *mains])
    if domains := [(client, _mail_domain(one)) for one, client in said if _goes_by_domain(one)]:
        directory.load_named(domains, by="email_domain")


def site_of(
    work: Context,
    said: Sequence[Contribution],
    client: ClientRef,
    current: UUID | None,
    page: Page,
) -> UUID:
    """The site of a person; created on the page where the mapping says so.

    The one that the first of its records names which names any; else the site that they have; else
    the client's main (or holding) site.
    """
    for one in work.precedence.ordered(said, Kind.USER, "site"):
        if one.speaks and (named := _named_by(work, one, client, page)):
            return named
    if current is not None:
        return current
    return fallback_site(work, client, work.rules.mapping.site.otherwise, page)


def _named_by(work: Context, one: Contribution, client: ClientRef, page: Page) -> UUID | None:
    """The record's location; else the site that its mapping's attribute names; else the one whose
    e-mail domain is theirs.
    """
    assert one.mapped is not None
    assert one.rules is not None
    directory = work.directory
    if one.site and one.site.client == client.id:
        return one.site.id
    if one.mapped.site_name:
        key = keys.key(Kind.SITE, "name", one.mapped.site_name)
        if known := directory.named.get((client.id, key)):
            return known
        if key and one.rules.mapping.site.create:
            reason = "a new site named by a person's record"
            return _add(work, client, {"name": one.mapped.site_name}, reason, page)
    if _goes_by_domain(one):
        return directory.by_domain.get((client.id, _mail_domain(one)))
    return None


def _goes_by_domain(one: Contribution) -> bool:
    return one.rules is not None and one.rules.mapping.site.by_email_domain


def fallback_site(work: Context, client: ClientRef, role: str, page: Page) -> UUID:
    """The client's main or holding site; created if the client has none yet."""
    directory = work.directory
    if known := directory.special.get((client.id, role)):
        return known
    site = work.rules.mapping.site
    name = (client.main_site_name or site.main) if role == "main" else site.holding
    known = directory.named.get((client.id, keys.key(Kind.SITE, "name", name)))
    if known is None:
        known = _add(work, client, {"name": name, "role": role}, _why(role), page)
    directory.special[client.id, role] = known
    return known


def _why(role: str) -> str:
    if role == "main":
        return "the source names no location for this client or some of its people"
    return "people whose site cannot be told wait here"


def _add(work: Context, client: ClientRef, values: dict[str, Any], reason: str, page: Page) -> UUID:
    entity = new_id()
    name = str(values["name"])
    change = Change(
        Kind.SITE,
        Action.CREATE,
        entity,
        client.id,
        "",
        f"{client.label} / {name}",
        reason,
        {**values, "active": True},
    )
    page.change(change)
    work.directory.add_site(client.id, entity, values)
    work.directory.made.add(entity)
    return entity


def _mail_domain(one: Contribution) -> str:
    mail = str(one.mapped.values.get("email", "")) if one.mapped else ""
    return keys.key(Kind.SITE, "email_domain", mail.rpartition("@")[2])
