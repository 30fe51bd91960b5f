"""People to users: updated when linked, matched in their client, created, moved or set aside."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from syncd import keys
from syncd.changes import PERSON, Action, Effect, LinkState, Situation, gained_identities
from syncd.entities import Entity, Kind, new_id
from syncd.mapping.gone import rule_for
from syncd.mapping.match import NEW, Match, Subject, claims, identity_claims
from syncd.mapping.page import Candidate, Context, Page, created_values, creation, update
from syncd.mapping.sites import load_for, site_of
from syncd.mapping.values import Difference, difference
from syncd.mapping.view import ClientRef
from syncd.mapping.words import match_all, to_be_linked
from syncd.records import Person

OUT_OF_SCOPE = "out_of_scope"
RETURNED = "it is back in the source"


def plan_users(work: Context, candidates: list[Candidate], page: Page) -> None:
    """Decide on people: linked ones are updated, others matched, created or set aside."""
    people = [_person(one) for one in candidates]
    work.directory.load_clients({one.organization for one in people if one.organization})
    work.directory.load_sites({one.location for one in people if one.location})
    claimed = {identity for one in people for identity in one.identities}
    page.held = {*work.facts.holders(claimed)} if claimed else set()
    ids = {one.link.entity for one in candidates if one.link and one.link.entity}
    stored = work.facts.entities(Kind.USER, ids) if ids else {}
    linked, newcomers = [], []
    for one in candidates:
        entity = stored.get(one.link.entity) if one.link and one.link.entity else None
        if entity is None or one.word:
            newcomers.append(one)
        else:
            linked.append((one, entity))
    if linked:
        _plan_linked(work, linked, page)
    if newcomers:
        _plan_newcomers(work, newcomers, page)


# -- people who are linked -------------------------------------------------------------------------


def _plan_linked(work: Context, linked: list[tuple[Candidate, Entity]], page: Page) -> None:
    clients = work.facts.entities(Kind.CLIENT, {user.client for _, user in linked if user.client})
    placed = []
    for one, user in linked:
        assert user.client is not None
        current = ClientRef(user.client, str(clients[user.client].values.get("name", "")))
        placed.append((one, user, _client_of(work, one) or current))
    load_for(work, [(one, client) for one, _, client in placed])
    elsewhere = work.facts.alive_elsewhere({user.id for _, user, _ in placed if user.active})
    for one, user, client in placed:
        if unknown := _unknown_client(work, one):
            page.quarantine(one, *unknown)
            continue
        if user.retired:
            link = _create(work, one, client, page, NEW, user.id)
        else:
            link = _update(work, one, user, client, page, NEW, user.id in elsewhere)
        page.out.claims += [(claim, ~link) for claim in identity_claims(_gained(page, link))]


def _update(
    work: Context,
    one: Candidate,
    user: Entity,
    client: ClientRef,
    page: Page,
    match: Match,
    elsewhere: bool,
) -> int:
    """The place of the link; `elsewhere`: another connection's link to this user is alive."""
    diff = difference(user, one.mapped, work.rules.user, work.precedence)
    action, reason = Action.UPDATE, "the source says so"
    if match.rule:
        reason = match.reason
    if client.id != user.client:
        action, reason = Action.MOVE, "the source names another client for this person"
        diff.set("client", user.client.hex if user.client else None, client.id.hex)
    _set_site(work, one, user, client, page, diff)
    _add_identities(one, page, diff)
    state = _decide_active(work, one, user, elsewhere, diff)
    if action is Action.MOVE and state is not None:  # still a move: guards hold every one
        reason = f"{reason}, and {state[1]}"
    elif state is not None:
        action, reason = state
    came_back = one.link is not None and one.link.state in (LinkState.MISSED, LinkState.GONE)
    if not diff and not match.rule and not came_back:
        return page.link(one, user.id, note=_scope_note(one))
    if not diff:
        action = Action.LINK
        reason = reason if match.rule else RETURNED
    change = update(one, user, diff, action, reason)
    change.client = client.id
    change.rule = match.rule
    return page.link(one, user.id, page.change(change), rule=match.rule, note=_scope_note(one))


def _set_site(
    work: Context, one: Candidate, user: Entity, client: ClientRef, page: Page, diff: Difference
) -> None:
    if "site" in user.overrides and client.id == user.client:
        return
    current = user.site if client.id == user.client else None
    site = site_of(work, one, client, current, page)
    if site != user.site:
        diff.set("site", user.site.hex if user.site else None, site.hex)
        diff.effects |= Effect.SITE_MOVE


def _decide_active(
    work: Context, one: Candidate, user: Entity, elsewhere: bool, diff: Difference
) -> tuple[Action, str] | None:
    """Deactivate what the source disabled or the scope leaves out; reactivate what came back."""
    if "active" in user.overrides:
        return None
    leaving = _leaving(one)
    if leaving is None:
        returns = one.link is not None and one.link.state is not LinkState.ALIVE
        if user.active or not (returns or _person(one).active):
            return None
        diff.set("active", False, True)
        return Action.REACTIVATE, "it is active in the source"
    stays = user.values.get("keep_active") or elsewhere or not user.active
    if stays or rule_for(work.rules, leaving).action != "deactivate":
        return None
    diff.set("active", True, False)
    return Action.DEACTIVATE, _LEAVING[leaving]


_LEAVING = {
    "disabled": "the source says it is disabled",
    OUT_OF_SCOPE: "the mapping's scope does not include it any more",
}


def _leaving(one: Candidate) -> str | None:
    if not one.mapped.in_scope:
        return OUT_OF_SCOPE
    return "disabled" if _person(one).active is False else None


# -- people who are new to this connection ---------------------------------------------------------


@dataclass(slots=True)
class Placed:
    """A newcomer with the client it belongs to."""

    one: Candidate
    client: ClientRef
    subject: Subject


def _plan_newcomers(work: Context, candidates: list[Candidate], page: Page) -> None:
    named = to_be_linked(Kind.USER, candidates, work.facts)
    placed = [found for one in candidates if (found := _place(work, one, named, page))]
    if not placed:
        return
    load_for(work, [(found.one, found.client) for found in placed])
    rules = work.rules.user.match
    subjects = [found.subject for found in placed]
    ones = [found.one for found in placed]
    matches = match_all(Kind.USER, "people", rules, ones, subjects, work.facts)
    ids = {match.entity for match in matches if match.entity}
    stored = work.facts.entities(Kind.USER, ids) if ids else {}
    elsewhere = work.facts.alive_elsewhere(ids) if ids else set()
    for found, match in zip(placed, matches, strict=True):
        link = _decide(work, found, match, stored, elsewhere, page)
        if link is not None:
            made = {*claims(Kind.USER, rules, found.subject, match)}
            if found.subject.identities:  # unique, whatever the mapping matches by
                made |= identity_claims(_gained(page, link))
            page.out.claims += [(claim, link) for claim in made]


def _place(work: Context, one: Candidate, named: dict[UUID, Entity], page: Page) -> Placed | None:
    """`named`: users whom people named, who tell a client where a record does not."""
    if not one.mapped.in_scope:
        page.link(one, None, state=LinkState.SKIPPED, note=_scope_note(one))
        return None
    if unknown := _unknown_client(work, one):
        page.quarantine(one, *unknown)
        return None
    client = _client_of(work, one) or _client_of_named(one, named)
    if client is None:
        message = "it names no client, and the connection sets none"
        page.quarantine(one, "no_client", message, ("organization",))
        return None
    wanted = keys.keys(Kind.USER, one.mapped.values)
    return Placed(one, client, Subject(wanted, client.id, client.new, _person(one).identities))


def _decide(
    work: Context,
    found: Placed,
    match: Match,
    stored: dict[UUID, Entity],
    elsewhere: set[UUID],
    page: Page,
) -> int | None:
    """The place of the link that was written, or None if the person was set aside."""
    one = found.one
    if match.situation is Situation.AMBIGUOUS:
        rivals = ",".join(rival.hex for rival in match.rivals[:5])
        code = match.code or "ambiguous_user"
        page.quarantine(one, code, match.why, match.fields, rivals)
        return None
    if match.situation is Situation.NEW or match.entity not in stored:
        return _create(work, one, found.client, page, match, None, found.subject.keys)
    user = stored[match.entity]
    if not work.rules.mapping.user.adopt and match.rule != PERSON:
        message = "a user with this key exists and the mapping adopts none (user.adopt = false)"
        page.quarantine(one, "exists_locally", message, (match.rule,), user.id.hex)
        return None
    return _update(work, one, user, found.client, page, match, user.id in elsewhere)


def _create(
    work: Context,
    one: Candidate,
    client: ClientRef,
    page: Page,
    match: Match,
    retired: UUID | None,
    keys: dict[str, str] | None = None,
) -> int:
    site = site_of(work, one, client, None, page)
    values = created_values(one.mapped)
    values["site"] = site.hex
    if identities := _free_identities(one, page):
        values["identities"] = identities
    reason = "new: nobody here has any of its keys"
    if retired is not None:
        reason = "its key is back: the user that was retired"
    elif match.rivals:
        reason = f"new, and perhaps a re-created account: {match.why}"
    elif match.why:
        reason = match.why
    revives = retired is not None
    entity = retired or new_id()
    change = creation(one, entity, client.id, values, reason, revives=revives, match=match)
    change.keys = keys
    return page.link(one, change.entity, page.change(change))


# -- small questions -------------------------------------------------------------------------------


def _person(candidate: Candidate) -> Person:
    assert isinstance(candidate.record, Person)
    return candidate.record


def _client_of(work: Context, one: Candidate) -> ClientRef | None:
    organization = _person(one).organization
    return work.directory.clients.get(organization) if organization else None


def _client_of_named(one: Candidate, named: dict[UUID, Entity]) -> ClientRef | None:
    user = named.get(one.word.entity) if one.word and one.word.entity else None
    return ClientRef(user.client, "") if user and user.client else None


def _unknown_client(work: Context, one: Candidate) -> tuple[str, str, tuple[str, ...]] | None:
    organization = _person(one).organization
    if organization and work.directory.clients.get(organization) is None:
        message = "the client that it names is not here, or waits for a decision itself"
        return ("unknown_client", message, ("organization",))
    return None


def _scope_note(one: Candidate) -> str:
    return "" if one.mapped.in_scope else "out of the mapping's scope"


def _free_identities(one: Candidate, page: Page) -> list[list[str]]:
    wanted = _person(one).identities
    return [[*identity] for identity in sorted({*wanted} - page.held)] if wanted else []


def _add_identities(one: Candidate, page: Page, diff: Difference) -> None:
    free = _free_identities(one, page)
    if free:
        diff.set("identities", [], free)


def _gained(page: Page, link: int) -> list[list[str]]:
    """The identities that the change of a link gives to its user."""
    change = page.out.links[link].change
    return gained_identities(page.out.changes[change]) if change >= 0 else []
