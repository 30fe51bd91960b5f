"""What becomes of records that are gone: one rule and one clock for each reason."""

from __future__ import annotations

from uuid import UUID

from syncd.changes import Action, Change, LinkFact, LinkState, LinkWrite
from syncd.entities import Entity, Kind
from syncd.mapping.fields import Rules
from syncd.mapping.page import Context, Page
from syncd.mapping.rules import GoneRule

HOUR = 3600.0
DAY = 86_400.0
KINDS = {"organizations": Kind.CLIENT, "locations": Kind.SITE, "people": Kind.USER}
SENTENCES = {
    "absent": "a complete read did not mention it",
    "deleted": "the source says it was deleted",
}


def rule_for(rules: Rules, reason: str) -> GoneRule:
    """The mapping's rule for one reason: disabled, deleted, absent or out_of_scope."""
    rule: GoneRule = getattr(rules.mapping.gone, reason)
    return rule


def plan_gone(work: Context, stream: str, links: list[LinkFact], reason: str, page: Page) -> None:
    """Decide on links whose record is gone for `reason`. Only users are ever deactivated: a client
    or site whose record is gone is marked, and waits for a person.
    """
    ids = {link.entity for link in links if link.entity}
    users = work.facts.entities(Kind.USER, ids) if stream == "people" and ids else {}
    elsewhere = work.facts.alive_elsewhere(set(users)) if users else set()
    for link in links:
        user = users.get(link.entity) if link.entity else None
        if link.entity is None:
            _mark(stream, link, None, LinkState.GONE, reason, -1, page, work.now, work.now)
        elif user is None:
            _plan_place(work, stream, link, reason, page)
        else:
            _plan_user(work, link, user, user.id in elsewhere, reason, page)


def _plan_place(work: Context, stream: str, link: LinkFact, reason: str, page: Page) -> None:
    assert link.entity is not None
    sentence = f"{SENTENCES[reason]}; it waits for a person, its users and sites are untouched"
    change = _change(stream, link, Action.GONE, sentence, reason, {}, {})
    change.kind = KINDS[stream]
    place = page.change(change)
    _mark(stream, link, None, LinkState.GONE, reason, place, page, work.now, work.now)


def _plan_user(
    work: Context, link: LinkFact, user: Entity, elsewhere: bool, reason: str, page: Page
) -> None:
    rule = rule_for(work.rules, reason)
    misses, missed_at = _misses(link, work.now)
    if misses == link.misses:
        return  # counted less than an hour ago
    due = misses >= rule.reads and work.now - missed_at >= rule.days * DAY
    keeps = _why_kept(rule, user, elsewhere)
    state = LinkState.GONE if due or keeps else LinkState.MISSED
    if keeps:
        action, sentence = Action.GONE, f"{SENTENCES[reason]}; {keeps}"
    else:
        action = Action.DEACTIVATE if due else Action.MISS
        sentence = SENTENCES[reason] if due else f"{SENTENCES[reason]}, {_clock(rule, misses)}"
    leaves = action is Action.DEACTIVATE
    before, after = ({"active": True}, {"active": False}) if leaves else ({}, {})
    change = _change("people", link, action, sentence, reason, before, after)
    change.client = user.client
    _mark("people", link, misses, state, reason, page.change(change), page, missed_at, work.now)


def _why_kept(rule: GoneRule, user: Entity, elsewhere: bool) -> str:
    if rule.action != "deactivate":
        return f"the mapping's rule is to {rule.action}"
    if not user.active:
        return "it is inactive already"
    if user.values.get("keep_active"):
        return "it is flagged to be kept active"
    if "active" in user.overrides:
        return "a person set whether it is active"
    return "another source still has it" if elsewhere else ""


def _misses(link: LinkFact, now: float) -> tuple[int, float]:
    """How many complete reads missed it, this one counted (at most one an hour), and since when."""
    if link.state is not LinkState.MISSED or link.missed_at is None:
        return 1, now
    counts = now - (link.counted_at or link.missed_at) >= HOUR
    return link.misses + counts, link.missed_at


def _clock(rule: GoneRule, misses: int) -> str:
    waits = []
    if rule.reads > 1:
        waits.append(f"read {misses} of {rule.reads}")
    if rule.days:
        waits.append(f"for less than {rule.days:g} days")
    return " and ".join(waits) + " before it is deactivated"


def _change(
    stream: str,
    link: LinkFact,
    action: Action,
    sentence: str,
    rule: str,
    before: dict[str, bool],
    after: dict[str, bool],
) -> Change:
    entity: UUID = link.entity  # type: ignore[assignment]  # callers checked it
    return Change(
        Kind.USER, action, entity, None, stream, link.key, sentence, after, before, rule=rule
    )


def _mark(
    stream: str,
    link: LinkFact,
    misses: int | None,
    state: LinkState,
    reason: str,
    change: int,
    page: Page,
    missed_at: float,
    now: float,
) -> None:
    page.out.links.append(
        LinkWrite(
            stream,
            link.key,
            state,
            link.kind,
            link.entity,
            link.matched_by,
            None,
            None,
            change,
            False,
            misses or 1,
            missed_at,
            note=reason,
            counted_at=now,
        )
    )
