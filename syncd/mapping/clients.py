"""Organizations to clients: matched by their keys, created, or left for a person to decide."""

from __future__ import annotations

from uuid import UUID

from syncd import keys
from syncd.changes import PERSON, Action, Change, LinkState, Situation
from syncd.entities import Entity, Kind, new_id
from syncd.mapping.match import NEW, Match, Subject, claims
from syncd.mapping.page import Candidate, Context, Page, created_values, creation, update
from syncd.mapping.values import difference
from syncd.mapping.view import ClientRef, client_ref
from syncd.mapping.words import match_all
from syncd.records import Organization


def plan_clients(work: Context, candidates: list[Candidate], page: Page) -> None:
    """Decide on organizations: linked ones are updated, others matched, created or set aside."""
    ids = {one.link.entity for one in candidates if one.link and one.link.entity}
    stored = work.facts.entities(Kind.CLIENT, ids) if ids else {}
    newcomers = []
    for one in candidates:
        entity = stored.get(one.link.entity) if one.link and one.link.entity else None
        if entity is None or one.word:
            newcomers.append(one)
        elif entity.retired:
            _create(work, one, page, entity.id)
        else:
            _update(work, one, entity, page, "", "")
    if newcomers:
        _plan_newcomers(work, newcomers, page)


def _plan_newcomers(work: Context, candidates: list[Candidate], page: Page) -> None:
    rules = work.rules.client.match
    subjects = [_subject(one) for one in candidates]
    matches = match_all(Kind.CLIENT, "organizations", rules, candidates, subjects, work.facts)
    twins = _namesakes(work, subjects, matches)
    ids = {match.entity for match in matches if match.entity}
    stored = work.facts.entities(Kind.CLIENT, ids) if ids else {}
    for one, subject, match in zip(candidates, subjects, matches, strict=True):
        link = _decide(work, one, match, stored, twins.get(subject.keys.get("name", "")), page)
        if link is not None:
            for claim in claims(Kind.CLIENT, rules, subject, match):
                page.out.claims.append((claim, link))


def _decide(
    work: Context,
    one: Candidate,
    match: Match,
    stored: dict[UUID, Entity],
    twin: UUID | None,
    page: Page,
) -> int | None:
    """The place of the link that was written, or None if the organization was set aside."""
    if match.situation is Situation.MATCHED and match.entity in stored:
        return _update(work, one, stored[match.entity], page, match.rule, match.reason)
    if match.situation is Situation.AMBIGUOUS:
        code = match.code or "ambiguous_client"
        page.quarantine(one, code, match.why, match.fields, _hex(match.rivals))
        return None
    if match.rule == PERSON:
        return _create(work, one, page, None, match)
    if twin is not None:
        message = "a client with this name exists; a name alone is not proof that they are one"
        page.quarantine(one, "same_name", message, ("name",), twin.hex)
        return None
    if not work.rules.mapping.client.create:
        page.quarantine(one, "unknown_client", "no client matches and the mapping creates none")
        return None
    return _create(work, one, page, None, match)


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
    found = work.facts.find(Kind.CLIENT, ("name",), {(None, (name,)) for name in names})
    return {values[0]: min(ids) for (_, values), ids in found.items() if ids}


def _create(
    work: Context, one: Candidate, page: Page, retired: UUID | None, match: Match = NEW
) -> int:
    entity = retired or new_id()
    values = created_values(one.mapped)
    if top_level := work.rules.mapping.client.top_level:
        values.setdefault("top_level", top_level)
    change = page.change(_creation(one, entity, values, retired is not None, match))
    name = str(values.get("name", ""))
    # One that comes back is as empty as a new one: nothing retires from under others.
    work.directory.clients[one.key] = ClientRef(entity, name, True, values.get("main_site_name"))
    return page.link(one, entity, change)


def _creation(
    one: Candidate, entity: UUID, values: dict[str, object], revives: bool, match: Match
) -> Change:
    reason = "a new organization"
    if revives:
        reason = "its key is back: the client that was retired"
    elif match.rivals:
        reason = f"a new organization, and perhaps one that was re-created: {match.why}"
    elif match.why:
        reason = match.why
    return creation(one, entity, entity, values, reason, revives=revives, match=match)


def _update(
    work: Context, one: Candidate, entity: Entity, page: Page, rule: str, reason: str
) -> int:
    diff = difference(entity, one.mapped, work.rules.client, work.precedence)
    record = one.record
    assert isinstance(record, Organization)
    says = record.active is not None and record.active != entity.active
    if says and "active" not in entity.overrides:
        diff.set("active", entity.active, record.active)
    ref = client_ref(entity)
    ref.label = str(diff.after.get("name") or ref.label)
    work.directory.clients[one.key] = ref
    came_back = one.link is not None and one.link.state in (LinkState.MISSED, LinkState.GONE)
    if not diff and not rule and not came_back:
        return page.link(one, entity.id, rule=rule)
    action = Action.UPDATE if diff else Action.LINK
    sentence = reason or ("it is back in the source" if came_back else "the source says so")
    change = update(one, entity, diff, action, sentence)
    change.rule = rule
    return page.link(one, entity.id, page.change(change), rule=rule)


def _hex(ids: tuple[UUID, ...]) -> str:
    return ",".join(one.hex for one in ids[:5])
