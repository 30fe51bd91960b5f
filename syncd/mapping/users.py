"""People to users: updated when linked, matched in their client, created, moved or set aside."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from syncd import keys
from syncd.changes import (
    LICENSES,
    OUT_OF_SCOPE,
    PERSON,
    Action,
    LinkState,
    Situation,
    gained_identities,
)
from syncd.entities import Entity, Kind
from syncd.mapping import licenses
from syncd.mapping.active import (
    SENTENCES,
    Stand,
    Verdict,
    deactivate,
    decide,
    leaving,
    release,
    rule_for,
    verdict,
)
from syncd.mapping.clocks import tick, waits
from syncd.mapping.contributions import Contribution
from syncd.mapping.former import among_merged
from syncd.mapping.hearing import together
from syncd.mapping.homes import Known, set_home, with_homes
from syncd.mapping.licenses import NOTHING, Shift, name_released
from syncd.mapping.match import NEW, Match, Subject, claims, identity_claims
from syncd.mapping.page import (
    ALIVE,
    Candidate,
    Context,
    Page,
    Way,
    created_values,
    creation,
    update,
)
from syncd.mapping.places import Newcomer, contribution, in_turn, sort_out, way_of
from syncd.mapping.sites import load_for, site_of
from syncd.mapping.values import Difference, difference
from syncd.mapping.view import ClientRef
from syncd.mapping.words import match_all, to_be_linked
from syncd.records import Identity, Person

RETURNED = "it is back in the source"


def plan_users(work: Context, candidates: list[Candidate], page: Page) -> None:
    """Decide on people: linked ones are updated, others matched, created or set aside."""
    people = [_person(one) for one in candidates]
    work.directory.load_clients({one.organization for one in people if one.organization})
    work.directory.load_sites({one.location for one in people if one.location})
    claimed = {identity for one in people for identity in one.identities}
    page.held = {*work.facts.holders(claimed)} if claimed else set()
    ids = {one.link.entity for one in candidates if one.link and one.link.entity}
    newcomers, linked = sort_out(candidates, work.latest(Kind.USER, ids))
    for turn in in_turn(work, linked):
        _plan_linked(work, turn, page)
    if newcomers:
        _plan_newcomers(work, newcomers, page)
    name_released(work.facts, page.out.changes)


# -- people who are linked -------------------------------------------------------------------------


def _plan_linked(work: Context, linked: list[tuple[Candidate, Entity]], page: Page) -> None:
    pairs = [(user, _said(work, one)) for one, user in linked]
    said = together(work, Kind.USER, pairs)
    users = [(user, all_said) for (_, user), all_said in zip(linked, said, strict=True)]
    homes = with_homes(work, users)
    licensed = licenses.shifts(work, homes)
    for (one, _), known in zip(linked, homes, strict=True):
        if unknown := _unknown_client(work, one):
            page.quarantine(one, *unknown)
            continue
        link = _update(work, one, known, page, NEW, licensed.get(known.user.id, NOTHING))
        work.remember(known.user, page, link, known.said[-1])
        if link is not None:
            page.out.claims += [(claim, ~link) for claim in identity_claims(_gained(page, link))]


def _update(
    work: Context, one: Candidate, known: Known, page: Page, match: Match, licensed: Shift
) -> int | None:
    """The place of the link; None where nothing at all is new."""
    user = known.user
    diff = difference(user, known.said, work.precedence)
    set_home(work, known, page, diff)
    if one.mapped.in_scope and "identities" not in user.overrides:
        _add_identities(one, page, diff, work.so_far.gained.get(user.id, ()))
    licensed.add_to(diff)
    course = _course(work, one, known)
    way = way_of(user, known.said[-1]) if course.way == ALIVE else course.way
    action, reason = _told(work, match, diff, course)
    news = diff or match.rule or course.decided or _came_back(one)
    if not news:
        return page.link(one, user.id, way=way) if _is_new(one, way) else None
    if not diff and action is Action.UPDATE:
        action = Action.LINK
        reason = reason if match.rule else RETURNED
    change = update(one, user, diff, action, reason)
    change.client = known.client.id
    change.rule = match.rule
    if action is Action.MOVE:
        change.keys = keys.keys(Kind.USER, {**user.values, **diff.after})
    return page.link(one, user.id, page.change(change), rule=match.rule, way=way)


def _told(work: Context, match: Match, diff: Difference, course: _Course) -> tuple[Action, str]:
    """What the change is, and why. A move is a move, whatever else it is: guards hold every one."""
    action, reason = course.decided or (None, "")
    if action is Action.DEACTIVATE:
        deactivate(diff, course.verdicts, work.precedence)
    elif action is Action.REACTIVATE:
        diff.set("active", False, True)
    elif action is Action.MISS:
        diff.effects |= release(course.verdicts, work.precedence)
    moved = "the source names another client for this person"
    if "client" in diff.after:
        stays = action in (None, Action.MISS)
        return Action.MOVE, moved if stays else f"{moved}, and {reason}"
    if course.decided:
        return course.decided
    return Action.UPDATE, match.reason if match.rule else "the source says so"


def _came_back(one: Candidate) -> bool:
    return one.link is not None and one.link.state in (LinkState.MISSED, LinkState.GONE)


class _Course(NamedTuple):
    """What a record means for whether its user is active, and the link that remembers it."""

    decided: tuple[Action, str] | None
    way: Way
    verdicts: Sequence[Verdict]


_STAYS = _Course(None, ALIVE, ())


def _course(work: Context, one: Candidate, known: Known) -> _Course:
    user, mine = known.user, work.precedence.connection
    reason = leaving(one.mapped)
    if user.active and reason is None and len(known.said) == 1:
        return _STAYS  # most records, most of the time
    verdicts = [verdict(each) for each in known.said]  # this record's own comes last
    decided = decide(user, verdicts, work.precedence, mine if _returns(one, user) else None)
    if reason is None or verdicts[-1].stand is not Stand.LEAVES or not user.active:
        return _Course(decided, Way(LinkState.ALIVE, reason or ""), verdicts)
    rule = rule_for(work.rules, reason)
    clock = tick(one.link, reason, rule, work.now)
    if clock.due:
        return _Course(decided, Way(LinkState.ALIVE, reason), verdicts)
    way = Way(LinkState.LEAVING, reason, clock)
    if decided and clock.ticked:
        sentence = f"{SENTENCES[reason]}, {waits(rule, clock)}"
        return _Course((Action.MISS, sentence), way, verdicts)
    return _Course(None, way, verdicts)


def _returns(one: Candidate, user: Entity) -> bool:
    """Whether a record of the user that was away, or out of scope, is back."""
    link = one.link
    if link is None or link.entity != user.id or not one.mapped.in_scope:
        return False
    there = link.state in (LinkState.ALIVE, LinkState.LEAVING)
    return not there or link.note == OUT_OF_SCOPE


def _is_new(one: Candidate, way: Way) -> bool:
    """Whether a link says anything else than the one that is stored."""
    link, item = one.link, one.item
    if link is None or item is None or link.digest != item.digest:
        return True
    stored = (link.state, link.note, link.misses)
    return stored != (way.state, way.note, way.clock.misses if way.clock else 0)


# -- people who are new to this connection ---------------------------------------------------------


@dataclass(slots=True)
class Placed:
    """A newcomer with the client it belongs to."""

    one: Candidate
    client: ClientRef
    subject: Subject
    said: Contribution
    licenses: Mapping[str, set[str]]
    """Those that its record names, by provider."""
    retired: Entity | None
    """What its record was tied to."""


def _plan_newcomers(work: Context, newcomers: list[Newcomer], page: Page) -> None:
    named = to_be_linked(Kind.USER, [new.one for new in newcomers], work.facts)
    placed = [found for new in newcomers if (found := _place(work, new, named, page))]
    if not placed:
        return
    rules = work.rules.user.match
    subjects = [found.subject for found in placed]
    ones = [found.one for found in placed]
    matches = match_all(Kind.USER, "people", rules, ones, subjects, work.facts)
    matches = among_merged(work, rules, subjects, matches)
    known = _matched(work, placed, matches)
    licensed = licenses.shifts(work, list(known.values()))
    load_for(work, [([one.said], one.client) for one in placed])
    licenses.load_for(work, [(one.client.id, one.licenses) for one in placed])
    for found, match in zip(placed, matches, strict=True):
        link = _decide(work, found, match, known, licensed, page)
        if link is not None:
            made = {*claims(Kind.USER, rules, found.subject, match)}
            if found.subject.identities:  # unique, whatever the mapping matches by
                made |= identity_claims(_gained(page, link))
            page.out.claims += [(claim, link) for claim in made]


def _matched(work: Context, placed: Sequence[Placed], matches: Sequence[Match]) -> dict[str, Known]:
    """The users that newcomers were matched with, by the newcomer's key."""
    ids = {match.entity for match in matches if match.entity}
    if not ids:
        return {}
    stored = work.facts.entities(Kind.USER, ids)
    pairs = [
        (found, stored[match.entity])
        for found, match in zip(placed, matches, strict=True)
        if match.entity in stored
    ]
    said = together(work, Kind.USER, [(user, found.said) for found, user in pairs])
    users = [(user, all_said) for (_, user), all_said in zip(pairs, said, strict=True)]
    homes = with_homes(work, users)
    return {found.one.key: known for (found, _), known in zip(pairs, homes, strict=True)}


def _place(work: Context, new: Newcomer, people: dict[UUID, Entity], page: Page) -> Placed | None:
    """`people`: users whom people named, who tell a client where a record does not."""
    one = new.one
    if not one.mapped.in_scope:
        page.link(one, None, way=Way(LinkState.SKIPPED, OUT_OF_SCOPE))
        return None
    if unknown := _unknown_client(work, one):
        page.quarantine(one, *unknown)
        return None
    client = _client_of(work, one) or _client_of_named(one, people)
    if client is None:
        message = "it names no client, and the connection sets none"
        page.quarantine(one, "no_client", message, ("organization",))
        return None
    wanted = keys.keys(Kind.USER, one.mapped.values)
    subject = Subject(wanted, client.id, client.new, _person(one).identities)
    said = _said(work, one)
    named = licenses.named_by(work, [said])
    return Placed(one, client, subject, said, named, new.retired)


def _decide(
    work: Context,
    found: Placed,
    match: Match,
    known: dict[str, Known],
    licensed: Mapping[UUID, Shift],
    page: Page,
) -> int | None:
    """The place of the link that was written, or None if the person was set aside."""
    one = found.one
    if match.situation is Situation.AMBIGUOUS:
        rivals = ",".join(rival.hex for rival in match.rivals[:5])
        code = match.code or "ambiguous_user"
        page.quarantine(one, code, match.why, match.fields, rivals)
        return None
    if match.situation is Situation.NEW or one.key not in known:
        return _create(work, found, page, match)
    if not work.rules.mapping.user.adopt and match.rule != PERSON:
        message = "a user with this key exists and the mapping adopts none (user.adopt = false)"
        page.quarantine(one, "exists_locally", message, (match.rule,), known[one.key].user.id.hex)
        return None
    user = known[one.key]
    return _update(work, one, user, page, match, licensed.get(user.user.id, NOTHING))


def _create(work: Context, found: Placed, page: Page, match: Match) -> int:
    one, client, retired = found.one, found.client, found.retired
    values = created_values(one.mapped)
    values["site"] = site_of(work, [found.said], client, None, page).hex
    if identities := _free_identities(one, page):
        values["identities"] = identities
    reason = "new: nobody here has any of its keys"
    if retired is not None:
        reason = "its key is back: the user that was retired"
    elif match.rivals:
        reason = f"new, and perhaps a re-created account: {match.why}"
    elif match.why:
        reason = match.why
    change = creation(one, client.id, values, reason, retired, match)
    if licensed := licenses.born_with(work, client.id, found.licenses):
        change.before[LICENSES] = licensed
    change.keys = found.subject.keys
    return page.link(one, change.entity, page.change(change))


# -- small questions -------------------------------------------------------------------------------


def _person(candidate: Candidate) -> Person:
    assert isinstance(candidate.record, Person)
    return candidate.record


def _said(work: Context, one: Candidate) -> Contribution:
    """What the record says, with where it places the person."""
    mine, client, person = contribution(work, one), _client_of(work, one), _person(one)
    mine.client = client.id if client else None
    mine.site = work.directory.sites.get(person.location) if person.location else None
    return mine


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


def _free_identities(
    one: Candidate, page: Page, gained: Collection[Identity] = ()
) -> list[list[str]]:
    """`gained`: what the user has already by another record of this plan."""
    wanted = _person(one).identities
    free = {*wanted} - page.held - {*gained} if wanted else ()
    return [[*identity] for identity in sorted(free)]


def _add_identities(
    one: Candidate, page: Page, diff: Difference, gained: Collection[Identity]
) -> None:
    free = _free_identities(one, page, gained)
    if free:
        diff.set("identities", [], free)


def _gained(page: Page, link: int) -> list[list[str]]:
    """The identities that the change of a link gives to its user."""
    change = page.out.links[link].change
    return gained_identities(page.out.changes[change]) if change >= 0 else []
