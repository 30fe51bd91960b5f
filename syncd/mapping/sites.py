"""Locations to sites; the site of each person: a location, an attribute, a domain, or Main."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from syncd import keys
from syncd.changes import PERSON, Action, Change, LinkState, Situation
from syncd.entities import Entity, Kind, new_id
from syncd.mapping.match import NEW, Match, Subject, claims
from syncd.mapping.page import Candidate, Context, Page, created_values, creation, update
from syncd.mapping.values import difference
from syncd.mapping.view import ClientRef, SiteRef
from syncd.mapping.words import match_all
from syncd.records import Location, Person


def plan_sites(work: Context, candidates: list[Candidate], page: Page) -> None:
    """Decide on locations: linked ones are updated, others matched in their client or created."""
    work.directory.load_clients(_location(one).organization for one in candidates)
    ids = {one.link.entity for one in candidates if one.link and one.link.entity}
    stored = work.facts.entities(Kind.SITE, ids) if ids else {}
    newcomers = []
    for one in candidates:
        entity = stored.get(one.link.entity) if one.link and one.link.entity else None
        if entity is None or one.word:
            newcomers.append(one)
        elif entity.retired and entity.client:
            _create(work, one, ClientRef(entity.client, ""), page, entity.id)
        else:
            _update(work, one, entity, page, "", "")
    if newcomers:
        _plan_newcomers(work, newcomers, page)


def _plan_newcomers(work: Context, candidates: list[Candidate], page: Page) -> None:
    rules = work.rules.site.match
    placed: list[tuple[Candidate, ClientRef]] = []
    for one in candidates:
        client = work.directory.clients.get(_location(one).organization)
        if client is None:
            page.quarantine(one, "unknown_client", "its organization is not tied to any client")
        else:
            placed.append((one, client))
    subjects = [
        Subject(keys.keys(Kind.SITE, one.mapped.values), client.id, client.new)
        for one, client in placed
    ]
    ones = [one for one, _ in placed]
    matches = match_all(Kind.SITE, "locations", rules, ones, subjects, work.facts)
    ids = {match.entity for match in matches if match.entity}
    stored = work.facts.entities(Kind.SITE, ids) if ids else {}
    for (one, client), subject, match in zip(placed, subjects, matches, strict=True):
        link = _decide(work, one, client, match, stored, page)
        if link is not None:
            for claim in claims(Kind.SITE, rules, subject, match):
                page.out.claims.append((claim, link))


def _decide(
    work: Context,
    one: Candidate,
    client: ClientRef,
    match: Match,
    stored: dict[UUID, Entity],
    page: Page,
) -> int | None:
    if match.situation is Situation.MATCHED and match.entity in stored:
        return _update(work, one, stored[match.entity], page, match.rule, match.reason)
    if match.situation is Situation.AMBIGUOUS:
        rivals = ",".join(rival.hex for rival in match.rivals[:5])
        page.quarantine(one, match.code or "ambiguous_site", match.why, match.fields, rivals)
        return None
    if match.rule == PERSON:
        return _create(work, one, client, page, None, match)
    if not work.rules.mapping.site.create:
        page.quarantine(one, "unknown_site", "no site matches and the mapping creates none")
        return None
    return _create(work, one, client, page, None, match)


def _create(
    work: Context,
    one: Candidate,
    client: ClientRef,
    page: Page,
    retired: UUID | None,
    match: Match = NEW,
) -> int:
    entity = retired or new_id()
    values = created_values(one.mapped)
    if keys.key(Kind.SITE, "name", str(values.get("name", ""))) == _main_name(work, client):
        values["role"] = "main"
        work.directory.special[client.id, "main"] = entity
    reason = "its key is back: the site that was retired" if retired else "a new location"
    if match.rule == PERSON:
        reason = match.why
    revives = retired is not None
    change = creation(one, entity, client.id, values, reason, revives=revives, match=match)
    work.directory.sites[one.key] = SiteRef(entity, client.id)
    work.directory.add_site(client.id, entity, values)
    return page.link(one, entity, page.change(change))


def _update(
    work: Context, one: Candidate, entity: Entity, page: Page, rule: str, reason: str
) -> int:
    diff = difference(entity, one.mapped, work.rules.site, work.precedence)
    location = _location(one)
    says = location.active is not None and location.active != entity.active
    if says and "active" not in entity.overrides:
        diff.set("active", entity.active, location.active)
    if entity.client:
        work.directory.sites[one.key] = SiteRef(entity.id, entity.client)
    came_back = one.link is not None and one.link.state in (LinkState.MISSED, LinkState.GONE)
    if not diff and not rule and not came_back:
        return page.link(one, entity.id, rule=rule)
    action = Action.UPDATE if diff else Action.LINK
    sentence = reason or ("it is back in the source" if came_back else "the source says so")
    change = update(one, entity, diff, action, sentence)
    change.rule = rule
    return page.link(one, entity.id, page.change(change), rule=rule)


def _location(candidate: Candidate) -> Location:
    assert isinstance(candidate.record, Location)
    return candidate.record


def _main_name(work: Context, client: ClientRef) -> str:
    name = client.main_site_name or work.rules.mapping.site.main
    return keys.key(Kind.SITE, "name", name)


# -- the site of a person --------------------------------------------------------------------------


def load_for(work: Context, people: Sequence[tuple[Candidate, ClientRef]]) -> None:
    """Look up, for a page of people, every site that `site_of` will ask about."""
    directory = work.directory
    clients = {client.id: client for _, client in people}
    directory.load_special(clients.values())
    names = [
        (client.id, keys.key(Kind.SITE, "name", one.mapped.site_name))
        for one, client in people
        if one.mapped.site_name
    ]
    mains = [(client.id, _main_name(work, client)) for client in clients.values()]
    directory.load_named([*names, *mains])
    if work.rules.mapping.site.by_email_domain:
        domains = [(client.id, _mail_domain(one)) for one, client in people]
        directory.load_named(domains, by="email_domain")


def site_of(
    work: Context, one: Candidate, client: ClientRef, current: UUID | None, page: Page
) -> UUID:
    """The site of a person; created on the page where the mapping says so.

    Their location; else the site that the mapping's attribute names; else the one whose e-mail
    domain is theirs; else the site they have; else the client's main (or holding) site.
    """
    person = one.record
    assert isinstance(person, Person)
    directory = work.directory
    ref = directory.sites.get(person.location) if person.location else None
    if ref and ref.client == client.id:
        return ref.id
    if one.mapped.site_name:
        key = keys.key(Kind.SITE, "name", one.mapped.site_name)
        if known := directory.named.get((client.id, key)):
            return known
        if key and work.rules.mapping.site.create:
            reason = "a new site named by a person's record"
            return _add(work, client, {"name": one.mapped.site_name}, reason, page)
    if known := directory.by_domain.get((client.id, _mail_domain(one))):
        return known  # only looked up, and so only found, where the mapping asks for it
    if current is not None:
        return current
    return fallback_site(work, client, work.rules.mapping.site.otherwise, page)


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
    return entity


def _mail_domain(one: Candidate) -> str:
    mail = str(one.mapped.values.get("email", ""))
    return keys.key(Kind.SITE, "email_domain", mail.rpartition("@")[2])
