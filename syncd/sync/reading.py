"""READ + PLAN: stream by stream and page by page, from the provider to draft changes.

    page -> settled already? -> parse -> map -> match -> plan -> one short transaction

Items without a link wait until their stream has ended, then are planned in the same way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from syncd import keys as key_rules
from syncd.changes import Action, Change, Decisions, LinkFact, LinkState, Quarantined
from syncd.connectors.base import Page, RawItem, Repeats, Stream
from syncd.entities import KEY_FIELDS
from syncd.errors import MappingFailed
from syncd.failpoints import reach
from syncd.mapping.gone import plan_gone
from syncd.mapping.page import Item
from syncd.mapping.page import Page as Decided
from syncd.records import Reject
from syncd.store.database import Transaction
from syncd.sync.settling import resolve_conflicts, resolve_repeats, vanishing
from syncd.sync.step import PAGE_OF_NEWCOMERS, PAGE_OF_SETTLING, Progress, Step
from syncd.text import usable_key

NEWCOMERS_AT_ONCE = 2000


def read_all(step: Step) -> None:
    """Read every stream of the partition and plan what it says."""
    reach("read.started")
    for stream in step.connector.streams():
        read_stream(step, stream)
        plan_the_rest(step, stream)
        step.ended.append(stream)
        reach("read.stream.ended")
    reach("read.ended")


def read_stream(step: Step, stream: Stream) -> None:
    """Read one stream to its end, planning what is linked and keeping what is new for later."""
    cursor = None if step.full else step.cursors.get(stream.name)
    if cursor is None:
        step.counts[f"read {stream.name}"] += 0  # nobody at all is something to say
    step.planner.failures = 0
    with step.facts.open():
        had_quarantine = step.facts.has_quarantine(stream.name)
    done = 0
    for number, page in enumerate(step.connector.read(stream, step.partition, cursor)):
        reach("read.page.fetched")
        _plan_page(step, stream, number, page, had_quarantine)
        done += len(page.items)
        step.counts[f"read {stream.name}"] += len(page.items) + len(page.rejects)
        step.tell(page.notices)
        if page.cursor is not None:
            step.next_cursors[stream.name] = page.cursor
        step.report(Progress("read", stream.name, done, page.total))
    _refuse_broken_mapping(step, stream, done)


@dataclass(slots=True)
class Sorted:
    """The items of a page, told apart by what the store knows of them."""

    keys: list[str]
    changed: list[Item]
    newcomers: list[tuple[str, bytes]]


def _plan_page(step: Step, stream: Stream, number: int, page: Page, had_quarantine: bool) -> None:
    page = _with_usable_keys(page, number)
    items = _distinct(step, stream, page.items)
    decided = Decided()
    with step.facts.open():
        step.stop_if_cancelled()
        found = _sort(step, stream, items)
        if found.changed:
            links = step.facts.links(stream.name, [item.key for item in found.changed])
            _put_off(step, stream, found, links)
            decided.out = step.planner.plan(
                stream.name, stream.parse, found.changed, links, had_quarantine
            )
        _plan_tombstones(step, stream, page, decided, found.keys)
        _set_rejects_aside(step, stream, page, decided.out, found.keys)
    reach("read.page.planned")
    key_changes = [row for change in decided.out.changes for row in _key_changes(change)]

    def write(conn: Transaction) -> None:
        reach("read.page.writing")
        step.draft.add(conn, stream.name, number, decided.out)
        step.draft.add_seen(conn, stream.name, number, found.keys, found.newcomers)
        if key_changes:
            step.draft.add_keys(conn, key_changes)

    step.write(write)
    step.draft.advance(decided.out)
    step.count(decided.out)
    step.facts.plans_keys = step.facts.plans_keys or bool(key_changes)
    unchanged = len(items) - len(found.changed) - len(found.newcomers)
    step.counts["unchanged"] += unchanged
    step.counts[f"linked {stream.name}"] += len(items) - len(found.newcomers)
    reach("read.page.stored")


def _put_off(step: Step, stream: Stream, found: Sorted, links: dict[str, LinkFact]) -> None:
    """Whoever is linked to no entity (out of scope so far) is a newcomer and waits like others."""
    bare = {key for key, link in links.items() if link.entity is None}
    if bare:
        step.reconsidered.add(stream.name)
        found.newcomers += [(one.key, one.raw) for one in found.changed if one.key in bare]
        found.changed = [one for one in found.changed if one.key not in bare]


def _with_usable_keys(page: Page, number: int) -> Page:
    """The page with items whose key no database can keep turned into rejects without a key."""
    keys = [item[0] for item in page.items]
    stones = [stone.key for stone in page.tombstones]
    if all(map(usable_key, keys)) and all(map(usable_key, stones)):
        return page
    message = "it has no key, or one that cannot be kept"
    bad = [
        Reject(None, "bad_key", message, where=f"page {number + 1}, item {at + 1}")
        for at, key in enumerate(keys)
        if not usable_key(key)
    ]
    return replace(
        page,
        items=[item for item in page.items if usable_key(item.key)],
        tombstones=[stone for stone in page.tombstones if usable_key(stone.key)],
        rejects=[*page.rejects, *bad],
    )


def _distinct(step: Step, stream: Stream, items: Sequence[RawItem]) -> Sequence[RawItem]:
    """One item per key: the last; keys that stand there twice with other content are remembered."""
    last = {item.key: item for item in items}
    if len(last) == len(items):
        return items
    if stream.repeats is Repeats.CONFLICT:
        for item in items:
            if item.raw != last[item.key].raw:
                step.conflicted.setdefault(stream.name, set()).add(item.key)
    return list(last.values())


def _sort(step: Step, stream: Stream, items: Sequence[RawItem]) -> Sorted:
    keys = [item[0] for item in items]
    settled = step.facts.digests(stream.name, keys)
    if stream.merge and step.cursors.get(stream.name) and not step.full:
        items = _merged(step, stream, items)
    key, blake2b = step.digest_key, hashlib.blake2b
    changed, newcomers = [], []
    for item in items:
        if item[0] not in settled:
            newcomers.append((item[0], item[1]))
            continue
        digest = blake2b(item[1], digest_size=16, key=key).digest()
        if settled[item[0]] != digest:
            changed.append(Item(item[0], item[1], digest))
    return Sorted(keys, changed, newcomers)


def _merged(step: Step, stream: Stream, items: Sequence[RawItem]) -> list[RawItem]:
    """Whole items, where the provider sends only what changed."""
    assert stream.merge is not None
    stored = step.facts.raws(stream.name, [item.key for item in items])
    return [
        RawItem(item.key, stream.merge(stored[item.key], item.raw)) if item.key in stored else item
        for item in items
    ]


def _plan_tombstones(
    step: Step, stream: Stream, page: Page, decided: Decided, keys: list[str]
) -> None:
    if not page.tombstones:
        return
    returned = {item.key for item in page.items}
    dropped = dict.fromkeys(one.key for one in page.tombstones if one.key not in returned)
    keys += dropped  # seen, so that the last word counts when another page holds the item
    aside = step.facts.quarantined(stream.name, list(dropped))
    decided.out.healed += [(stream.name, key) for key in aside]
    links = step.facts.links(stream.name, list(dropped))
    dead = [one for one in links.values() if one.state in (LinkState.ALIVE, LinkState.MISSED)]
    plan_gone(step.context, stream.name, dead, "deleted", decided)


def _set_rejects_aside(
    step: Step, stream: Stream, page: Page, out: Decisions, keys: list[str]
) -> None:
    """Quarantine what could not even be cut into items. A key is *seen* even if it was rejected."""
    if not page.rejects:
        return
    aside = []
    for reject in page.rejects:
        usable = reject.key is not None and usable_key(reject.key)
        step.keyless = step.keyless or not usable
        key = reject.key if usable and reject.key else f"({reject.where or 'no key'})"
        keys.append(key)
        message = f"{reject.where}: {reject.message}" if reject.where else reject.message
        aside.append(
            Quarantined(stream.name, key, reject.reason, message, tuple(reject.fields), None)
        )
    step.planner.failures += len(aside)
    stored = step.facts.quarantined(stream.name, [one.key for one in aside])
    out.quarantined += [one for one in aside if stored.get(one.key) != (one.code, one.message)]
    step.counts["set aside again"] += len(aside)


def _key_changes(change: Change) -> list[tuple[UUID, UUID | None, str, str | None]]:
    """What a linked entity's match keys will be: (entity, client, field, key)."""
    if change.action is Action.CREATE:
        return []
    return [
        (change.entity, change.client, name, key_rules.key(change.kind, name, value) or None)
        for name, value in change.after.items()
        if name in KEY_FIELDS[change.kind] and name in change.before
    ]


def _refuse_broken_mapping(step: Step, stream: Stream, done: int) -> None:
    """When most of a stream cannot be mapped, the mapping is wrong, not each of the records."""
    limit = step.context.rules.mapping.limits.errors
    failures = step.planner.failures
    if failures > max(limit.count, limit.share * max(done, 1)):
        raise MappingFailed(
            f"{failures} of {done} records of {stream.name} cannot be read or mapped: the mapping "
            "or the source's form must be wrong; nothing was changed"
        )


# -- once a stream has ended -----------------------------------------------------------------------


def plan_the_rest(step: Step, stream: Stream) -> None:
    """Plan the newcomers of a stream, and what was in quarantine and did not come again."""
    keep = resolve_repeats(step, stream)
    step.facts.vanishing = vanishing(step, stream)  # until the next stream is at this point
    _plan_quarantined(step, stream)
    with step.facts.open():
        pages = step.draft.seen_numbers(step.facts.conn, stream.name)
    done = 0
    for number in pages:
        with step.facts.open():
            raws = step.draft.newcomers(step.facts.conn, stream.name, number)
            raws = [pair for pair in raws if keep(pair[0], number)]
            decisions = _plan_newcomers(step, stream, raws)
        reach("read.newcomers.planned")
        step.store(stream.name, PAGE_OF_NEWCOMERS, decisions)
        done += len(raws)
        step.report(Progress("plan", stream.name, done, None))
        reach("read.newcomers.stored")
    _refuse_broken_mapping(step, stream, step.counts[f"read {stream.name}"])
    resolve_conflicts(step, stream)


def _plan_newcomers(step: Step, stream: Stream, raws: list[tuple[str, bytes]]) -> Decisions:
    if not raws:
        return Decisions()
    key, blake2b = step.digest_key, hashlib.blake2b
    items = [Item(one, raw, blake2b(raw, digest_size=16, key=key).digest()) for one, raw in raws]
    had_quarantine = step.facts.has_quarantine(stream.name)
    links = {}
    if stream.name in step.reconsidered:
        links = step.facts.links(stream.name, [item.key for item in items])
    return step.planner.plan(stream.name, stream.parse, items, links, had_quarantine)


def _plan_quarantined(step: Step, stream: Stream) -> None:
    """Quarantined items that this read did not hold: planned again, or gone after a full read."""
    with step.facts.open():
        if not step.facts.has_quarantine(stream.name):
            return
        seen = set(step.draft.seen(step.facts.conn, stream.name))
        pages = [
            [(key, raw) for key, raw in page if hash(key) not in seen]
            for page in step.facts.quarantine_items(stream.name)
        ]
    full = step.full or stream.name not in step.cursors
    for page in pages:
        decisions = Decisions()
        if full and step.connector.deletes(stream) == "absence":
            decisions.healed = [(stream.name, key) for key, _ in page]
        else:
            raws = [(key, raw) for key, raw in page if raw is not None]
            with step.facts.open():
                decisions = _plan_again(step, stream, raws)
        reach("read.quarantine.planned")
        step.store(stream.name, PAGE_OF_SETTLING, decisions)


def _plan_again(step: Step, stream: Stream, raws: list[tuple[str, bytes]]) -> Decisions:
    links = step.facts.links(stream.name, [key for key, _ in raws])
    key, blake2b = step.digest_key, hashlib.blake2b
    items = [Item(one, raw, blake2b(raw, digest_size=16, key=key).digest()) for one, raw in raws]
    failures = step.planner.failures  # of what this read held: what still fails is not news
    decisions = step.planner.plan(stream.name, stream.parse, items, links)
    step.planner.failures = failures
    return decisions
