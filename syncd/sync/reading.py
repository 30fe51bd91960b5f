"""READ: stream by stream and page by page, telling what is settled from what is to be planned.

    page -> settled already? -> one short transaction: which keys it held, and its newcomers

What changed waits until there is a batch of it, what is new until its stream has ended; `planning`
makes decisions of both. Tombstones and rejects are decided with their page.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import NamedTuple

from syncd.changes import Decisions, LinkState, Quarantined
from syncd.connectors.base import LeftOut, Page, RawItem, Repeats, Stream
from syncd.errors import AccessLost, PermissionDenied
from syncd.failpoints import reach
from syncd.log import redact_text
from syncd.mapping.clocks import running
from syncd.mapping.contributions import LIVING
from syncd.mapping.gone import plan_gone
from syncd.mapping.items import Item, digests
from syncd.mapping.page import Page as Decided
from syncd.records import Reject
from syncd.store.database import Transaction
from syncd.sync.feeding import Feed
from syncd.sync.planning import (
    Waiting,
    plan_changed,
    plan_the_rest,
    plan_those_again,
    refuse_broken_mapping,
)
from syncd.sync.settling import sweepable
from syncd.sync.step import Progress, Step
from syncd.text import all_usable_keys, usable_key

_key_of, _raw_of = itemgetter(0), itemgetter(1)

NOT_READ = "streams not read"
"""Among the counts of a run: streams that may not be read."""
KNOWN_AT_ONCE = 200_000
"""Links whose digests are kept in memory, some 200 bytes each; of more, those of one page."""


def read_all(step: Step) -> None:
    """Read every stream of the partition and plan what it says; after a read that broke off and can
    go on (`can_resume`), what is left of it.
    """
    reach("read.started")
    done = {stream.name for stream in step.ended}
    streams = [stream for stream in step.connector.streams() if stream.name not in done]
    with closing(Feed(step, streams)) as feed:
        for stream in streams:
            step.stop_if_asked()
            try:
                read_stream(step, stream, feed)
            except (PermissionDenied, AccessLost) as denied:
                _leave_out(step, stream, denied)
                continue
            plan_the_rest(step, stream)
            step.ended.append(stream)
            reach("read.stream.ended")
    reach("read.ended")


def _leave_out(step: Step, stream: Stream, denied: PermissionDenied | AccessLost) -> None:
    """Go on without a stream that may not be read: nothing of it changes, and nobody leaves. Not
    where some of it was read, nor without the organizations that all others are about.
    """
    broken, step.broken_off = step.broken_off, None
    if broken is None or broken.pages or not step.ended:
        raise denied
    if not step.counts[f"read {stream.name}"]:
        del step.counts[f"read {stream.name}"]  # that nobody was there is more than is known
    step.counts[NOT_READ] += 1
    _tell_denied(step, f"{stream.name} not read, and left as they are", denied)


def _tell_denied(step: Step, what: str, denied: PermissionDenied | AccessLost) -> None:
    """Why something may not be read; once, where it is one reason for several streams."""
    why = redact_text(str(denied))
    known = {str(one) for one in step.denied}
    told = "for the same reason" if str(denied) in known else why
    step.denied.append(denied)
    where = f"{step.partition.name}: " if step.partition.key else ""
    step.tell([f"{where}{what}: {told}"])


def _leave_part_out(step: Step, stream: Stream, left_out: LeftOut) -> None:
    """Go on with a stream of which a part may not be read: nothing of that part changes."""
    keys, why = left_out
    step.reads[stream.name].left_out += (keys,)
    _tell_denied(step, f"{stream.name} read in part, the rest left as it is", why)


def can_resume(step: Step) -> bool:
    """Whether a read that broke off can go on where it was: between two pages, with all that was
    seen so far still known.
    """
    broken = step.broken_off
    return broken is not None and (broken.pages == 0 or broken.resume is not None)


@dataclass(slots=True)
class Reading:
    """One stream while it is read. `has_links`: some of its items may be known already."""

    step: Step
    stream: Stream
    has_links: bool
    has_quarantine: bool
    known: dict[str, bytes | None] | None
    """What is settled, where that fits into memory; else it is asked for page by page."""
    waiting: Waiting = field(default_factory=Waiting)
    pages: int = 0
    """How many pages were read."""
    done: int = 0
    """How many items these held."""
    resume: str | None = None
    """What the last of them said of where to go on."""
    is_news: bool = False
    """Whether any of them held anything."""


def read_stream(step: Step, stream: Stream, feed: Feed) -> None:
    """Read one stream to its end, planning what is linked and keeping what is new for later."""
    cursor = step.cursor(stream)
    reading = step.broken_off or _begin(step, stream, cursor)
    step.broken_off = reading
    for page in feed.pages():
        reach("read.page.fetched")
        step.broken_off = None  # in the middle of a page nothing can go on
        _read_page(reading, reading.pages, page)
        reading.pages += 1
        reading.done += len(page.items)
        reading.resume = page.resume if stream.resumable else None
        if (told := len(page.items) + len(page.rejects)) or cursor is None:
            step.counts[f"read {stream.name}"] += told  # that nothing changed is nothing to say
        if page.left_out:
            _leave_part_out(step, stream, page.left_out)
        step.tell(page.notices)
        reading.is_news = reading.is_news or told > 0 or bool(page.tombstones)
        if page.cursor is not None and (reading.is_news or _is_due(step, stream, cursor)):
            step.next_cursors[stream.name] = page.cursor
        step.report(Progress("read", stream.name, reading.done, page.total))
        step.broken_off = reading
    step.broken_off = None
    plan_changed(step, stream, reading.waiting, reading.has_quarantine)
    plan_those_again(step, stream, reading.has_quarantine)
    refuse_broken_mapping(step, stream, reading.done)


def _is_due(step: Step, stream: Stream, cursor: str | None) -> bool:
    """Whether a new cursor is wanted although nothing came."""
    return cursor is None or stream.name in step.aged


def _begin(step: Step, stream: Stream, cursor: str | None) -> Reading:
    if cursor is None and step.connector.holds(stream):
        step.counts[f"read {stream.name}"] += 0  # nobody at all is something to say
    step.planner.failures = 0
    with step.facts.open():
        quarantine = step.facts.has_quarantine(stream.name)
        has_links = step.facts.has_links(stream.name)
        known = _known(step, stream) if has_links and cursor is None else None
    return Reading(step, stream, has_links, quarantine, known)


def _known(step: Step, stream: Stream) -> dict[str, bytes | None] | None:
    known = step.facts.all_settled(stream.name, sweepable(stream), KNOWN_AT_ONCE + 1)
    if len(known) > KNOWN_AT_ONCE:
        return None
    step.reads[stream.name].living = len(known)
    return known


class Sorted(NamedTuple):
    """The items of a page, told apart by what the store knows of them."""

    keys: list[str]
    changed: list[Item]
    newcomers: Sequence[tuple[str, bytes]]


def _read_page(reading: Reading, number: int, page: Page) -> None:
    step, stream = reading.step, reading.stream
    if not (page.items or page.tombstones or page.rejects or page.repaired) and step.is_fresh:
        return  # many a page of a delta says nothing: nor need the database hear of it
    page = _with_usable_keys(page, number)
    items = _distinct(step, stream, page.items)
    decided = Decided()
    with step.facts.open():
        step.stop_if_cancelled()
        found = _sort(reading, items)
        if reading.has_quarantine:
            _heal_settled(step, stream, page, found, decided.out)
            _heal_repaired(step, stream, page, decided.out)
        _plan_tombstones(step, stream, page, decided, found.keys)
        _set_rejects_aside(step, stream, page, decided.out, found.keys)
    reach("read.page.planned")

    def write(conn: Transaction) -> None:
        reach("read.page.writing")
        step.draft.add(conn, stream.name, number, decided.out)
        step.draft.add_seen(conn, stream.name, number, found.keys, found.newcomers)

    step.write(write)
    step.draft.advance(decided.out)
    step.draft.advance_seen(stream.name, number, found.keys, found.newcomers)
    step.count(decided.out)
    step.counts["unchanged"] += len(items) - len(found.changed) - len(found.newcomers)
    step.counts[f"linked {stream.name}"] += len(items) - len(found.newcomers)
    reach("read.page.stored")
    refused = {reject.key for reject in page.rejects}
    for item in found.changed:
        if reading.waiting.is_full(item.key, step.batch):
            plan_changed(step, stream, reading.waiting, reading.has_quarantine)
        reading.waiting.add(number, item)
        if item.key in refused:
            reading.waiting.contradicted.add(item.key)


def _heal_settled(step: Step, stream: Stream, page: Page, found: Sorted, out: Decisions) -> None:
    """Who is in quarantine and says again what is settled has nothing to wait for."""
    busy = {item.key for item in found.changed} | {key for key, _ in found.newcomers}
    busy |= {reject.key for reject in page.rejects if reject.key}
    settled = [key for key in found.keys if key not in busy]
    out.healed += [(stream.name, key) for key in step.facts.quarantined(stream.name, settled)]


def _heal_repaired(step: Step, stream: Stream, page: Page, out: Decisions) -> None:
    """What could not be read before, and came again as something else, has nothing to wait for."""
    if page.repaired:
        aside = step.facts.quarantined(stream.name, list(page.repaired))
        out.healed += [(stream.name, key) for key in aside]


def _with_usable_keys(page: Page, number: int) -> Page:
    """The page with items whose key no database can keep turned into rejects without a key."""
    keys = list(map(_key_of, page.items))
    stones = [stone.key for stone in page.tombstones]
    if all_usable_keys(keys) and all_usable_keys(stones):
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
    if len(set(map(_key_of, items))) == len(items):
        return items
    last = {item.key: item for item in items}
    if stream.repeats is Repeats.CONFLICT:
        for item in items:
            if item.raw != last[item.key].raw:
                step.reads[stream.name].conflicted.add(item.key)
    return list(last.values())


def _sort(reading: Reading, items: Sequence[RawItem]) -> Sorted:
    step, stream = reading.step, reading.stream
    keys = list(map(_key_of, items))
    if not reading.has_links:
        return Sorted(keys, [], items)
    settled = reading.known
    if settled is None:
        settled = step.facts.settled(stream.name, keys, sweepable(stream))
    found = digests(step.digest_key, map(_raw_of, items))
    others = list(map(settled.get, keys))
    odd: list[Item] = []
    if found != others:
        odd = [Item(*items[at], found[at]) for at in range(len(keys)) if found[at] != others[at]]
        if stream.merge and _sends_parts(step, stream):
            odd = [one for one in _merged(step, stream, odd) if one.digest != settled.get(one.key)]
    return _sort_odd(reading, keys, odd, settled)


def _sort_odd(
    reading: Reading, keys: list[str], odd: Sequence[Item], settled: dict[str, bytes | None]
) -> Sorted:
    """Tell apart what is not settled by a living link: changed, new, or tied some other way.

    Whoever is linked to nobody that we keep (out of scope so far, or undone) is a newcomer and
    waits like others.
    """
    step, stream = reading.step, reading.stream
    strangers = [item.key for item in odd if item.key not in settled]
    step.reads[stream.name].living_seen += len(keys) - len(strangers)
    ties = step.facts.other_ties(stream.name, strangers) if strangers else {}
    changed, newcomers = [], []
    for item in odd:
        tie = ties.get(item.key)
        if item.key in settled or (tie and tie.digest != item.digest and tie.is_kept):
            changed.append(item)
        elif tie is None or tie.digest != item.digest:
            newcomers.append((item.key, item.raw))
            if tie is not None:
                step.reads[stream.name].reconsidered = True
    return Sorted(keys, changed, newcomers)


def _sends_parts(step: Step, stream: Stream) -> bool:
    """Whether items of this read say only what changed."""
    return not stream.incremental or (bool(step.cursors.get(stream.name)) and not step.full)


def _merged(step: Step, stream: Stream, items: Sequence[Item]) -> list[Item]:
    """Whole items, of the stored ones and what was sent of them."""
    assert stream.merge is not None
    stored = step.facts.raws(stream.name, [item.key for item in items])
    whole = [
        (one.key, stream.merge(stored[one.key], one.raw) if one.key in stored else one.raw)
        for one in items
    ]
    return step.items(whole)


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
    step.reads[stream.name].ticked.update(running(links))
    dead = [one for one in links.values() if one.state in (*LIVING, LinkState.SKIPPED)]
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
        if usable and stream.repeats is Repeats.CONFLICT:
            step.reads[stream.name].refused.append(hash(key))
        message = f"{reject.where}: {reject.message}" if reject.where else reject.message
        aside.append(
            Quarantined(stream.name, key, reject.reason, message, tuple(reject.fields), None)
        )
    step.planner.failures += len(aside)
    out.quarantined += step.not_yet_aside(stream.name, aside)
    step.counts["set aside again"] += len(aside)
