"""PLAN: what changed, what is new, and what was set aside before, each in batches of its own.

Items without a link are planned once their stream has ended, so that what linked records give up
or take on in the same plan is known, whatever the order of the pages.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from uuid import UUID

from syncd import keys as key_rules
from syncd.changes import Action, Change, Decisions, LinkState
from syncd.connectors.base import Stream
from syncd.entities import KEY_FIELDS
from syncd.errors import MappingFailed
from syncd.failpoints import reach
from syncd.mapping import guard
from syncd.mapping.clocks import running
from syncd.mapping.contributions import MEMBERSHIPS
from syncd.mapping.items import Item
from syncd.mapping.memberships import forget
from syncd.store.database import Transaction
from syncd.store.hashes import missing
from syncd.sync.feeding import ahead
from syncd.sync.repeats import Keep, resolve_repeats
from syncd.sync.settling import SWEPT_AT_ONCE, Turns, absence_tells, resolve_conflicts
from syncd.sync.step import PAGE_OF_CHANGES, PAGE_OF_NEWCOMERS, PAGE_OF_SETTLING, Progress, Step

Planned = tuple[int, Decisions]
"""How many newcomers were planned, and what was decided of them."""


@dataclass(slots=True)
class Waiting:
    """Linked items that changed, gathered over pages until there is a batch of them."""

    items: list[Item] = field(default_factory=list)
    pages: dict[str, int] = field(default_factory=dict)
    """Which read page each key was on."""
    contradicted: set[str] = field(default_factory=set)
    """Those whose page says as well that they cannot be read: they stay in quarantine."""

    def is_full(self, key: str, most: int) -> bool:
        """Whether to plan what waits before the item with this key joins."""
        return len(self.items) >= most or key in self.pages

    def add(self, page: int, item: Item) -> None:
        self.items.append(item)
        self.pages[item.key] = page

    def clear(self) -> None:
        self.items.clear()
        self.pages.clear()
        self.contradicted.clear()


def plan_changed(step: Step, stream: Stream, waiting: Waiting, has_quarantine: bool) -> None:
    """Plan the linked items that wait."""
    if not waiting.items:
        return
    with step.facts.open():
        links = step.facts.links(stream.name, list(waiting.pages))
        step.reads[stream.name].ticked.update(running(links))
        decisions = step.planner.plan(
            stream.name, stream.parse, waiting.items, links, has_quarantine
        )
    decisions.healed = [pair for pair in decisions.healed if pair[1] not in waiting.contradicted]
    _remember_misfits(step, stream, waiting, decisions)
    reach("read.changed.planned")
    key_changes = [row for change in decisions.changes for row in _key_changes(change)]

    def write(conn: Transaction) -> None:
        step.draft.add(conn, stream.name, PAGE_OF_CHANGES, decisions, waiting.pages)
        if key_changes:
            step.draft.add_keys(conn, key_changes)

    step.write(write)
    step.draft.advance(decisions)
    step.count(decisions)
    step.facts.plans_keys = step.facts.plans_keys or bool(key_changes)
    waiting.clear()
    reach("read.changed.stored")


def plan_those_again(step: Step, stream: Stream, has_quarantine: bool) -> None:
    """Plan the stored items of people of whom something else than their record changed, where this
    read did not bring them anew.
    """
    again = step.context.again if stream.name == "people" else set()
    with step.facts.open():
        if again and absence_tells(step, stream):
            again -= {*missing(sorted(again), step.draft.seen(step.facts.conn, stream.name))}
    while again:
        keys = sorted(again)[: step.batch]
        again.difference_update(keys)
        waiting = Waiting()
        with step.facts.open():
            raws = step.facts.raws(stream.name, keys)
        for item in step.items([*raws.items()]):
            waiting.add(PAGE_OF_SETTLING, item)
        plan_changed(step, stream, waiting, has_quarantine)


def _remember_misfits(step: Step, stream: Stream, waiting: Waiting, out: Decisions) -> None:
    step.context.again.difference_update(waiting.pages if stream.name == "people" else ())
    linked = {link.key for link in out.links if link.stream == stream.name}
    for item in waiting.items:
        if item.key not in linked:
            step.reads[stream.name].misfits.extend(
                (waiting.pages[item.key], hash(item.key), hash(item.raw))
            )


def _key_changes(change: Change) -> list[tuple[UUID, UUID | None, str, str | None]]:
    """What a linked entity's match keys will be: (entity, client, field, key)."""
    if change.action is Action.CREATE:
        return []
    fields = KEY_FIELDS[change.kind]
    if change.keys is not None:
        return [(change.entity, change.client, name, change.keys.get(name)) for name in fields]
    return [
        (change.entity, change.client, name, key_rules.key(change.kind, name, value) or None)
        for name, value in change.after.items()
        if name in fields and name in change.before
    ]


def refuse_broken_mapping(step: Step, stream: Stream, done: int) -> None:
    """When most of a stream cannot be mapped, the mapping is wrong, not each of the records."""
    limit = step.context.rules.mapping.limits.errors
    failures = step.planner.failures
    if failures > guard.allowed(limit, max(done, 1)):
        raise MappingFailed(
            f"{failures} of {done} records of {stream.name} cannot be read or mapped: the mapping "
            "or the source's form must be wrong; nothing was changed"
        )


# -- once a stream has ended -----------------------------------------------------------------------


def plan_the_rest(step: Step, stream: Stream) -> None:
    """Plan the newcomers of a stream, and what was in quarantine and did not come again."""
    if stream.name == MEMBERSHIPS:
        _forget_former_members(step, stream)
    keep = resolve_repeats(step, stream)
    step.facts.turns = Turns(step, stream)  # until the next stream is at this point
    _plan_quarantined(step, stream)
    done = 0
    with closing(_planned_ahead(step, stream, keep)) as batches:
        for planned, decisions in batches:
            step.store(stream.name, PAGE_OF_NEWCOMERS, decisions)
            reach("read.newcomers.stored")
            done += planned
            step.report(Progress("plan", stream.name, done, None))
    refuse_broken_mapping(step, stream, step.counts[f"read {stream.name}"])
    resolve_conflicts(step, stream)


def _forget_former_members(step: Step, stream: Stream) -> None:
    """Whoever this read does not mention any more is in no group, and known to be so before people
    are planned.
    """
    after = ""
    with step.facts.open():
        seen = step.draft.seen(step.facts.conn, stream.name)
    while True:
        with step.facts.open():
            keys = step.facts.living(stream.name, (LinkState.ALIVE,), after, SWEPT_AT_ONCE)
        if not keys:
            return
        forget(step.context, missing(keys, seen))
        after = keys[-1]


def _planned_ahead(step: Step, stream: Stream, keep: Keep | None) -> Generator[Planned]:
    """The newcomers of a stream, planned in batches; one batch while that before it is written.
    Nothing that is decided here looks at what the draft holds of the stream.
    """
    numbers = step.draft.seen_numbers(stream.name)
    batches = _planned(step, stream, numbers, keep)
    return ahead(batches, most=1, patient=True) if len(numbers) > 1 else batches


def _planned(
    step: Step, stream: Stream, numbers: Sequence[int], keep: Keep | None
) -> Generator[Planned]:
    for number in numbers:
        with step.facts.open():
            raws = step.draft.newcomers(step.facts.conn, stream.name, number)
        if keep is not None:
            raws = [pair for pair in raws if keep(pair[0], number)]
        for start in range(0, len(raws), step.batch):
            some = raws[start : start + step.batch]
            yield len(some), _plan_newcomers(step, stream, some)


def _plan_newcomers(step: Step, stream: Stream, raws: Sequence[tuple[str, bytes]]) -> Decisions:
    with step.facts.open():
        step.stop_if_cancelled()
        has_quarantine = step.facts.has_quarantine(stream.name)
        items = step.items(raws)
        links = {}
        if step.reads[stream.name].reconsidered:
            links = step.facts.links(stream.name, [item.key for item in items])
        decisions = step.planner.plan(stream.name, stream.parse, items, links, has_quarantine)
    reach("read.newcomers.planned")
    return decisions


def _plan_quarantined(step: Step, stream: Stream) -> None:
    """Quarantined items that this read did not hold: planned again, or gone after a full read."""
    with step.facts.open():
        if not step.facts.has_quarantine(stream.name):
            return
        seen = step.draft.seen(step.facts.conn, stream.name)
        pages = [dict(page) for page in step.facts.quarantine_items(stream.name)]
    tells, covers = absence_tells(step, stream), step.connector.coverage(stream)
    for page in pages:
        absent = missing(list(page), seen)
        gone = {
            key
            for key in absent
            if tells
            and not key.startswith(step.reads[stream.name].left_out)
            and (covers is None or covers(key, page[key]))
        }
        rest = [(key, raw) for key in absent if key not in gone and (raw := page[key]) is not None]
        decisions = Decisions()
        if rest:
            with step.facts.open():
                decisions = _plan_again(step, stream, rest)
        decisions.healed += [(stream.name, key) for key in absent if key in gone]
        reach("read.quarantine.planned")
        step.store(stream.name, PAGE_OF_SETTLING, decisions)


def _plan_again(step: Step, stream: Stream, raws: list[tuple[str, bytes]]) -> Decisions:
    links = step.facts.links(stream.name, [key for key, _ in raws])
    failures = step.planner.failures  # of what this read held: what still fails is not news
    decisions = step.planner.plan(stream.name, stream.parse, step.items(raws), links)
    step.planner.failures = failures
    return decisions
