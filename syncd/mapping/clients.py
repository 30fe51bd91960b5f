"""Organizations to clients: matched by their keys, created, or left for a person to decide."""

from __future__ import annotations

from uuid import UUID

from syncd import keys
from syncd.changes import PERSON, Situation
from syncd.entities import Entity, Kind
from syncd.mapping.contributions import Contribution
from syncd.mapping.match import NEW, Match, Subject, claims
from syncd.mapping.page import Candidate, Context, Page, created_values, creation
from syncd.mapping.places import Newcomer, in_turn, said_of, sort_out, update_place
from syncd.mapping.view import ClientRef, client_ref, known_as
from syncd.mapping.words import match_all


def plan_clients(work: Context, candidates: list[Candidate], page: Page) -> None:
    """Decide on organizations: linked ones are updated, others matched, created or set aside."""
    ids = {one.link.entity for one in candidates if one.link and one.link.entity}
    newcomers, known = sort_out(candidates, work.latest(Kind.CLIENT, ids))
    for turn in in_turn(work, known):
        said = said_of(work, Kind.CLIENT, turn)
        for one, entity in turn:
            _update(work, one, entity, said[one.key], page)
    if newcomers:
        _plan_newcomers(work, newcomers, page)


def _plan_newcomers(work: Context, newcomers: list[Newcomer], page: Page) -> None:
    candidates = [new.one for new in newcomers]
    rules = work.rules.client.match
    subjects = [_subject(one) for one in candidates]
    matches = match_all(Kind.CLIENT, "organizations", rules, candidates, subjects, work.facts)
    twins = _namesakes(work, subjects, matches)
    ids = {match.entity for match in matches if match.entity}
    stored = work.facts.entities(Kind.CLIENT, ids) if ids else {}
    matched = [
        (one, stored[match.entity])
        for one, match in zip(candidates, matches, strict=True)
        if match.entity in stored
    ]
    said = said_of(work, Kind.CLIENT, matched)
    for new, subject, match in zip(newcomers, subjects, matches, strict=True):
        twin = None if new.retired else twins.get(subject.keys.get("name", ""))
        link = _decide(work, new, match, stored, said, twin, page)
        if link is not None:
            for claim in claims(Kind.CLIENT, rules, subject, match):
                page.out.claims.append((claim, link))


def _decide(
    work: Context,
    new: Newcomer,
    match: Match,
    stored: dict[UUID, Entity],
    said: dict[str, list[Contribution]],
    twin: UUID | None,
    page: Page,
) -> int | None:
    """The place of the link that was written, or None if the organization was set aside."""
    one = new.one
    if match.situation is Situation.MATCHED and match.entity in stored:
        return _update(work, one, stored[match.entity], said[one.key], page, match)
    if match.situation is Situation.AMBIGUOUS:
        code = match.code or "ambiguous_client"
        page.quarantine(one, code, match.why, match.fields, _hex(match.rivals))
        return None
    if match.rule == PERSON:
        return _create(work, new, page, match)
    if twin is not None:
        message = "a client with this name exists; a name alone is not proof that they are one"
        page.quarantine(one, "same_name", message, ("name",), twin.hex)
        return None
    if not work.rules.mapping.client.create:
        page.quarantine(one, "unknown_client", "no client matches and the mapping creates none")
        return None
    return _create(work, new, page, match)


def _subject(candidate: Candidate) -> Subject:
    return Subject(keys.keys(Kind.CLIENT, candidate.mapped.values), None)


def _namesakes(
    work: Context, subjects: list[Subject], matches: list[Match]
) -> dict[str, UUID | None]:
    """Stored clients with the name of an unmatched organization, where the name is no rule."""
    if ("name",) in work.rules.client.match:
        return {}
    names = {
        subject.keys["name"]
        for subject, match in zip(subjects, matches, strict=True)
        if match.situation is Situation.NEW and "name" in subject.keys
    }
    wanted = {(None, (name,)) for name in names}
    found = known_as(
        work.facts, Kind.CLIENT, "name", wanted, work.facts.find(Kind.CLIENT, ("name",), wanted)
    )
    return {values[0]: twin for (_, values), twin in found.items()}


def _create(work: Context, new: Newcomer, page: Page, match: Match) -> int:
    one, retired = new.one, new.retired
    values = created_values(one.mapped)
    if top_level := work.rules.mapping.client.top_level:
        values.setdefault("top_level", top_level)
    reason = "a new organization"
    if retired:
        reason = "its key is back: the client that was retired"
    elif match.rivals:
        reason = f"a new organization, and perhaps a re-created one: {match.why}"
    elif match.why:
        reason = match.why
    made = creation(one, None, values, reason, retired, match)
    change = page.change(made)
    name = str(values.get("name", ""))
    # One that comes back is as empty as a new one: nothing retires from under others.
    ref = ClientRef(made.entity, name, True, values.get("main_site_name"))
    work.directory.clients[one.key] = ref
    return page.link(one, made.entity, change)


def _update(
    work: Context,
    one: Candidate,
    entity: Entity,
    said: list[Contribution],
    page: Page,
    match: Match = NEW,
) -> int:
    place = update_place(work, one, entity, said, page, match)
    ref = client_ref(entity)
    change = page.out.links[place].change
    if change >= 0:
        ref.label = str(page.out.changes[change].after.get("name") or ref.label)
    work.directory.clients[one.key] = ref
    return place


def _hex(ids: tuple[UUID, ...]) -> str:
    return ",".join(one.hex for one in ids[:5])
