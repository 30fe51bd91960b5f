"""What becomes of records that are gone: one rule and one clock for each reason.

Only users are ever deactivated: a client or site whose record is gone is marked, and waits for a
person; of a pool of licenses or a subscription nothing is left. Where other sources still speak of
an entity, their values take the place of those that it had from here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from syncd.changes import Action, Change, LinkFact, LinkState, LinkWrite
from syncd.entities import HOLDINGS, Entity, Kind
from syncd.mapping.active import (
    ABSENT,
    DELETED,
    RETIRED,
    SENTENCES,
    Stand,
    Verdict,
    deactivate,
    decide,
    leaves,
    release,
    rule_for,
    verdict,
    why_kept,
)
from syncd.mapping.clocks import Clock, tick, waits
from syncd.mapping.contributions import LIVING, Contribution
from syncd.mapping.hearing import others_of
from syncd.mapping.holdings import plan_gone_holding
from syncd.mapping.homes import Known, set_home, with_homes
from syncd.mapping.licenses import NOTHING, Shift, name_released, shifts
from syncd.mapping.page import Context, Page
from syncd.mapping.so_far import rounds
from syncd.mapping.values import Difference, difference
from syncd.mapping.words import KINDS


def plan_gone(work: Context, stream: str, links: list[LinkFact], reason: str, page: Page) -> None:
    """Decide on links whose record is gone for `reason`."""
    turns = rounds(links, of=lambda link: link.entity or link.key, key=lambda link: link.key)
    if shared := {link.entity for turn in turns[1:] for link in turn if link.entity}:
        _note_all_that_go(work, stream, links, shared, reason)
    for turn in turns:
        ids = {link.entity for link in turn if link.entity}
        stored = work.latest(KINDS[stream], ids)
        first = len(page.out.links)
        _plan_turn(work, stream, turn, stored, reason, page)
        for place, link in enumerate(page.out.links[first:], first):
            if link.entity in stored:
                work.remember(stored[link.entity], page, place)
    name_released(work.facts, page.out.changes)


def _note_all_that_go(
    work: Context, stream: str, links: Sequence[LinkFact], shared: Collection[UUID], reason: str
) -> None:
    """Records of one entity that go together do not keep each other, nor speak for a moment."""
    stored = work.latest(KINDS[stream], shared)
    for link in links:
        entity = stored.get(link.entity) if link.entity else None
        if entity is not None and _goes(work, link, entity, reason):
            place = (work.partition, stream, link.key)
            work.so_far.turned[place] = (LinkState.GONE, _told(link, reason))


def _goes(work: Context, link: LinkFact, entity: Entity, reason: str) -> bool:
    """Whether a record that is gone has no clock that still runs."""
    reason = _told(link, reason)
    rule = rule_for(work.rules, reason)
    waits_for_nothing = entity.kind is not Kind.USER or not entity.active
    no_clock = waits_for_nothing or rule.action != "deactivate"
    return no_clock or tick(link, reason, rule, work.now).due


def _told(link: LinkFact, reason: str) -> str:
    """Why a record is gone: that it was deleted is more than that it is absent."""
    deleted = link.state is LinkState.MISSED and link.note == DELETED
    return DELETED if deleted and reason == ABSENT else reason


def _plan_turn(
    work: Context,
    stream: str,
    links: Sequence[LinkFact],
    stored: Mapping[UUID, Entity],
    reason: str,
    page: Page,
) -> None:
    """Decide on links of which no two are of one entity."""
    own = [(stream, link.key) for link in links]
    others = others_of(work, KINDS[stream], stored, own) if stored else {}
    _let_go(work, others)
    leavers = []
    for link in links:
        entity = stored.get(link.entity) if link.entity else None
        if entity is None or entity.retired:
            _mark(stream, link, LinkState.GONE, reason, -1, page, work.now)
        elif entity.kind is Kind.USER:
            leavers.append((link, entity, others.get(entity.id, [])))
        elif entity.kind in HOLDINGS:
            told = others.get(entity.id, [])
            change = plan_gone_holding(work, link, entity, told, SENTENCES[reason], page)
            _mark(stream, link, LinkState.GONE, reason, change, page, work.now)
        else:
            _plan_place(work, stream, link, entity, others.get(entity.id, []), reason, page)
    homes = with_homes(work, [(user, said) for _, user, said in leavers])
    licensed = shifts(work, homes)
    for (link, _, _), known in zip(leavers, homes, strict=True):
        shift = licensed.get(known.user.id, NOTHING)
        _plan_user(work, link, known, shift, _told(link, reason), page)


def _let_go(work: Context, others: Mapping[UUID, Sequence[Contribution]]) -> None:
    """Have records that are retired together with these say nothing any more."""
    if not work.retiring:
        return
    for said in others.values():
        for one in said:
            if one.place[0] in work.retiring and one.state in LIVING:
                one.state, one.reason = LinkState.GONE, RETIRED


def _plan_place(
    work: Context,
    stream: str,
    link: LinkFact,
    entity: Entity,
    others: Sequence[Contribution],
    reason: str,
    page: Page,
) -> None:
    rest = "other sources still have it" if _speaking(others) else "it waits for a person"
    sentence = f"{SENTENCES[reason]}; {rest}, its users and sites are untouched"
    diff = difference(entity, others, work.precedence)
    change = _change(stream, link, entity, Action.GONE, sentence, reason, diff)
    _mark(stream, link, LinkState.GONE, reason, page.change(change), page, work.now)


def _speaking(others: Sequence[Contribution]) -> bool:
    return any(one.speaks for one in others)


def _plan_user(
    work: Context, link: LinkFact, known: Known, licensed: Shift, reason: str, page: Page
) -> None:
    user, rule = known.user, rule_for(work.rules, reason)
    verdicts = [verdict(one) for one in known.said]
    clock = _at_once(reason, work.now)
    if reason != RETIRED:
        clock = tick(link, reason, rule, work.now)
    own = leaves(work.precedence.connection, reason, rule)
    if rule.action != "deactivate" or not user.active:
        own = own._replace(stand=Stand.SILENT)
    elif not clock.due:
        _wait(work, link, known, [*verdicts, own], clock, reason, page)
        return
    diff = Difference()
    if _speaking(known.said):
        diff = difference(user, known.said, work.precedence)
        set_home(work, known, page, diff)
    licensed.add_to(diff)
    decided = decide(user, [*verdicts, own], work.precedence) if user.active else None
    kept = f"the mapping's rule is to {rule.action}"
    if rule.action == "deactivate":
        kept = why_kept(user, verdicts, own.connection)
    action, sentence = Action.GONE, f"{SENTENCES[reason]}; {kept}"
    if decided:  # the rule of another source may be what takes the user away now
        action, sentence = Action.DEACTIVATE, SENTENCES[reason]
        deactivate(diff, [*verdicts, own], work.precedence)
    if "client" in diff.after:
        action = Action.MOVE
    change = _change("people", link, user, action, sentence, reason, diff)
    change.client = known.client.id
    _mark("people", link, LinkState.GONE, reason, page.change(change), page, work.now, clock)


def _wait(
    work: Context,
    link: LinkFact,
    known: Known,
    verdicts: Sequence[Verdict],
    clock: Clock,
    reason: str,
    page: Page,
) -> None:
    """Note a miss; it counts for guards only where the user would really be deactivated."""
    if not clock.ticked:
        return
    change = -1
    if decide(known.user, verdicts, work.precedence):
        sentence = f"{SENTENCES[reason]}, {waits(rule_for(work.rules, reason), clock)}"
        diff = Difference(effects=release(verdicts, work.precedence))
        miss = _change("people", link, known.user, Action.MISS, sentence, reason, diff)
        change = page.change(miss)
    _mark("people", link, LinkState.MISSED, reason, change, page, work.now, clock)


def _change(
    stream: str,
    link: LinkFact,
    entity: Entity,
    action: Action,
    sentence: str,
    rule: str,
    diff: Difference,
) -> Change:
    client = entity.id if entity.kind is Kind.CLIENT else entity.client
    return Change(
        entity.kind,
        action,
        entity.id,
        client,
        stream,
        link.key,
        sentence,
        diff.after,
        diff.before,
        rule=rule,
        effects=diff.effects,
    )


def _at_once(reason: str, now: float) -> Clock:
    """Where nothing is waited for: the first miss is enough, and a person's word is none."""
    return Clock(0 if reason == RETIRED else 1, now, now, due=True, ticked=True)


def _mark(
    stream: str,
    link: LinkFact,
    state: LinkState,
    reason: str,
    change: int,
    page: Page,
    now: float,
    clock: Clock | None = None,
) -> None:
    clock = clock or _at_once(reason, now)
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
            clock.misses,
            clock.since,
            note=reason,
            counted_at=clock.counted,
        )
    )
