"""SETTLE: what can only be known once a stream, or the whole read, has ended."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence

from syncd.changes import Action, Decisions, LinkFact, LinkState, LinkWrite, Quarantined
from syncd.connectors.base import Deletes, Stream
from syncd.failpoints import reach
from syncd.mapping.active import ABSENT, DELETED
from syncd.mapping.contributions import LIVING
from syncd.mapping.gone import plan_gone
from syncd.mapping.page import Page
from syncd.mapping.sites import fallback_site
from syncd.store.database import Transaction
from syncd.store.drafted import DraftPage
from syncd.store.hashes import missing
from syncd.sync.contested import leave_out
from syncd.sync.step import PAGE_OF_SETTLING, Progress, Step

SHARED = "shared_key"

SWEPT_AT_ONCE = 50_000
"""Keys that are compared with all that was read at a time."""

NOBODY_GONE = (
    "something was read that has no key, so who is missing cannot be known: nobody counts as gone, "
    "and no clock of a leaver runs on, until that is repaired"
)


def settle(step: Step) -> None:
    """Default sites, then clocks and the sweep: after a complete read only."""
    _add_main_sites(step)
    reach("settle.sites")
    if is_proven(step):
        for stream in step.ended:
            _tick(step, stream)
            _sweep(step, stream)
            _look_again(step, stream)
            reach("settle.sweep")
    elif step.proves and any(_might_sweep(step, stream) for stream in step.ended):
        step.tell([NOBODY_GONE])
    reach("settle.ended")


def _might_sweep(step: Step, stream: Stream) -> bool:
    with step.facts.open():
        return absence_tells(step, stream) and step.facts.has_links(stream.name)


def is_proven(step: Step) -> bool:
    """Whether absence from this read may mean anything at all."""
    return step.proves and not step.keyless


# -- several records, one claim --------------------------------------------------------------------


def resolve_conflicts(step: Step, stream: Stream) -> None:
    """Set aside all newcomers of the stream that claim the same entity or the same unique key. Who
    is linked already stays, without the identity that others claim as well.
    """
    with step.facts.open():
        contested = step.draft.contested(step.facts.conn, stream.name)
        if not contested:
            return
        places = step.draft.claimants(step.facts.conn, stream.name, contested)
    linked = {page: {~at for at in found if at < 0} for page, found in places.items()}
    dropped = leave_out(step, contested, linked)
    for page, found in places.items():
        dropped[page] |= {at for at in found if at >= 0}

    def aside(links: Sequence[LinkWrite]) -> list[Quarantined]:
        return [_shared(stream, link) for link in links if link.change >= 0]  # others are linked

    directory = step.context.directory
    for link in drop(step, dropped, aside):
        if link.stream == "organizations":
            directory.clients[link.key] = None
        elif link.stream == "locations":
            directory.sites[link.key] = None
            directory.forget_site(link.entity)
    reach("settle.conflicts")
    _forget_deserted_sites(step)


def _forget_deserted_sites(step: Step) -> None:
    """Do not make the sites of people who were all set aside."""
    directory = step.context.directory
    if not directory.made:
        return
    with step.facts.open():
        deserted = directory.made - step.draft.homes(step.facts.conn)
    if deserted:
        step.write(lambda conn: step.draft.drop_sites(conn, deserted))
    for site in deserted:
        directory.forget_site(site)
    directory.made -= deserted


def _shared(stream: Stream, link: LinkWrite) -> Quarantined:
    message = "several new records claim the same user, client or unique key: none is believed"
    return Quarantined(stream.name, link.key, SHARED, message, (), link.raw)


def drop(
    step: Step,
    places: dict[int, set[int]],
    aside: Callable[[Sequence[LinkWrite]], list[Quarantined]],
) -> list[LinkWrite]:
    """Take decisions out of draft pages; `aside` says what to quarantine instead."""
    gone: list[LinkWrite] = []
    for number, chosen in sorted(places.items()):
        with step.facts.open():
            page = step.draft.page(step.facts.conn, number)
            links = [page.body.links[at] for at in sorted(chosen)]
            instead = step.not_yet_aside(page.stream, aside(links))
            kept = {one.key for one in links} - {one.key for one in instead}
        page.body.healed = [pair for pair in page.body.healed if pair[1] not in kept]
        page.body.quarantined += instead

        def write(conn: Transaction, page: DraftPage = page, chosen: set[int] = chosen) -> None:
            step.draft.drop(conn, page, chosen)
            step.draft.rewrite(conn, page)

        step.write(write)
        step.counts["quarantined"] += len(instead)
        gone += links
    return gone


def set_aside(step: Step, stream: Stream, aside: list[Quarantined]) -> None:
    """Quarantine what is not there for that reason already, as a page of its own."""
    if aside:
        with step.facts.open():
            fresh = step.not_yet_aside(stream.name, aside)
        step.store(stream.name, PAGE_OF_SETTLING, Decisions(quarantined=fresh))


# -- sites and absence -----------------------------------------------------------------------------


def _add_main_sites(step: Step) -> None:
    """A client that this plan creates and gives no site gets its main site."""
    directory = step.context.directory
    bare = [
        ref
        for ref in directory.clients.values()
        if ref and ref.new and ref.id not in directory.with_sites
    ]
    if bare:
        page = Page()
        for ref in bare:
            fallback_site(step.context, ref, "main", page)
        step.store("", PAGE_OF_SETTLING, page.out)


class Turns:
    """What the plan of a stream that was read to its end makes of links that are not in it yet."""

    def __init__(self, step: Step, stream: Stream) -> None:
        self.step = step
        self.stream = stream
        self._seen: array[int] | None = None

    def vanishing(self, keys: list[str]) -> set[str]:
        """Which of these living keys the sweep will take away."""
        step, stream = self.step, self.stream
        if not is_proven(step) or not absence_tells(step, stream):
            return set()
        gone = only_covered(step, stream, self._missing(keys))
        links = step.facts.links(stream.name, gone).values()
        page = Page()
        swept = [link for link in links if link.state in sweepable(stream)]
        with step.context.so_far.trial():
            plan_gone(step.context, stream.name, swept, "absent", page)
        return {link.key for link in page.out.links if link.state == LinkState.GONE}

    def returning(self, keys: list[str]) -> set[str]:
        """Which of these keys, whose link is dead, the source holds again."""
        return set(keys).difference(self._missing(keys))

    def _missing(self, keys: list[str]) -> list[str]:
        if self._seen is None:
            self._seen = self.step.draft.seen(self.step.facts.conn, self.stream.name)
        return missing(keys, self._seen)


def only_covered(step: Step, stream: Stream, gone: list[str]) -> list[str]:
    """Those of the keys which the read would have shown. Ask while facts are open."""
    unseen = step.reads[stream.name].left_out
    gone = [key for key in gone if not key.startswith(unseen)] if unseen else gone
    covers = step.connector.coverage(stream) if gone else None
    if covers is None:
        return gone
    raws = step.facts.raws(stream.name, gone)
    return [key for key in gone if key in raws and covers(key, raws[key])]


def absence_tells(step: Step, stream: Stream) -> bool:
    """Whether who is missing from this read of the stream is gone."""
    full = step.full or stream.name not in step.cursors
    return full and step.connector.deletes(stream) is Deletes.ABSENCE


SKIPPED = (LinkState.SKIPPED,)
"""The state of links to nobody: their record was never in scope, or a person ignores it."""


def sweepable(stream: Stream) -> Sequence[LinkState]:
    """The states of links that a sweep looks at, and that count for its guards."""
    people = stream.name == "people"
    return LIVING if people else (LinkState.ALIVE,)


def _tick(step: Step, stream: Stream) -> None:
    """Plan again whose clock runs although the read said nothing new of them: who is there speaks
    for itself; of who is not, only a deletion was ever said.
    """
    name = stream.name
    with step.facts.open():
        running = step.facts.running(name)
        unseen: set[str] = set()
        if running and absence_tells(step, stream):
            unseen.update(missing(running, step.draft.seen(step.facts.conn, name)))
    todo = [key for key in running if key not in unseen | step.reads[name].ticked]
    for start in range(0, len(todo), step.batch):
        keys = todo[start : start + step.batch]
        with step.facts.open():
            links = step.facts.links(name, keys)
            deleted, page = [one for one in links.values() if one.note == DELETED], Page()
            plan_gone(step.context, name, deleted, DELETED, page)
            there = [key for key, one in links.items() if one.state is LinkState.LEAVING]
            items = step.items([*step.facts.raws(name, there).items()])
            decisions = step.planner.plan(name, stream.parse, items, links, quarantined=False)
        step.store(name, PAGE_OF_SETTLING, page.out)
        step.store(name, PAGE_OF_SETTLING, decisions)


def _sweep(step: Step, stream: Stream) -> None:
    """Plan for what a complete read did not mention, where absence means something."""
    if not absence_tells(step, stream):
        return
    name = stream.name
    with step.facts.open():
        living = step.reads[name].living
        if living is None:
            living = step.facts.count_living(name, sweepable(stream))
        skipped = step.facts.count_living(name, SKIPPED)
    step.counts[f"living {name}"] = living
    if not _saw_all(step, name, living):
        step.counts[f"absent {name}"] += _compare(step, stream, sweepable(stream), living)
    if skipped:  # nobody was made of them, so nobody leaves
        _compare(step, stream, SKIPPED, skipped)


def _look_again(step: Step, stream: Stream) -> None:
    """Decide anew on who was kept when their record went, and whom a person's edit, merge or undo
    changed since: what kept them then may be no more.
    """
    name = stream.name
    if name != "people":
        return
    reasons = (ABSENT, DELETED) if absence_tells(step, stream) else (DELETED,)
    with step.facts.open():
        partial = step.connector.coverage(stream) is not None
        forgotten = step.facts.changed_since_gone(name, reasons, at_any_time=partial)
        keys = missing(forgotten, step.draft.seen(step.facts.conn, name)) if forgotten else []
        keys = only_covered(step, stream, keys)
    for start in range(0, len(keys), step.batch):
        page = Page()
        with step.facts.open():
            links = step.facts.links(name, keys[start : start + step.batch]).values()
            for reason in reasons:
                gone = [one for one in links if one.note == reason]
                plan_gone(step.context, name, _who_leave(step, name, gone, reason), reason, page)
        step.store(name, PAGE_OF_SETTLING, page.out)


def _who_leave(step: Step, name: str, gone: list[LinkFact], reason: str) -> list[LinkFact]:
    """Those of the links that take their user away now; of the others nothing new is to be said."""
    page = Page()
    with step.context.so_far.trial():
        plan_gone(step.context, name, gone, reason, page)
    leaving = {one.key for one in page.out.changes if one.action is Action.DEACTIVATE}
    return [one for one in gone if one.key in leaving]


def _compare(step: Step, stream: Stream, states: Sequence[LinkState], total: int) -> int:
    """Plan for the links in these states whose key was not seen; how many these are."""
    done, found, after, name = 0, 0, "", stream.name
    with step.facts.open():
        seen = step.draft.seen(step.facts.conn, name)
    while True:
        with step.facts.open():
            keys = step.facts.living(name, states, after, SWEPT_AT_ONCE)
            gone = only_covered(step, stream, missing(keys, seen))
        if not keys:
            return found
        for start in range(0, len(gone), step.batch):
            _plan_absent(step, stream, gone[start : start + step.batch])
        done, found, after = done + len(keys), found + len(gone), keys[-1]
        step.report(Progress("sweep", name, done, total))


def _saw_all(step: Step, stream: str, living: int) -> bool:
    """Whether each of the living links was seen: as many as there are, and none of them twice."""
    return step.reads[stream].living_seen == living and not step.reads[stream].repeating


def _plan_absent(step: Step, stream: Stream, keys: Sequence[str]) -> None:
    page = Page()
    with step.facts.open():
        links = list(step.facts.links(stream.name, keys).values())
        plan_gone(step.context, stream.name, links, "absent", page)
    here = (LinkState.ALIVE, LinkState.LEAVING)
    step.reads[stream.name].vanished += sum(one.state in here for one in links)
    step.store(stream.name, PAGE_OF_SETTLING, page.out)
