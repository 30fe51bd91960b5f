"""SETTLE: what can only be known once a stream, or the whole read, has ended."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from syncd.changes import Decisions, LinkState, LinkWrite, Quarantined
from syncd.connectors.base import Deletes, Repeats, Stream
from syncd.failpoints import reach
from syncd.mapping.gone import plan_gone
from syncd.mapping.page import Page
from syncd.mapping.sites import fallback_site
from syncd.store.database import Transaction
from syncd.store.draft import DraftPage, missing, repeated
from syncd.sync.contested import leave_out
from syncd.sync.step import PAGE_OF_SETTLING, Progress, Step

DUPLICATE = "duplicate_key"
SHARED = "shared_key"

SWEPT_AT_ONCE = 50_000
"""Keys that are compared with all that was read at a time."""


def settle(step: Step) -> None:
    """Default sites, then the sweep: after a complete read only."""
    _add_main_sites(step)
    reach("settle.sites")
    if is_proven(step):
        for stream in step.ended:
            _sweep(step, stream)
            reach("settle.sweep")
    reach("settle.ended")


def is_proven(step: Step) -> bool:
    """Whether absence from this read may mean anything at all."""
    return not step.keyless


# -- one key, several items ------------------------------------------------------------------------


@dataclass(slots=True)
class Occurrence:
    """Where a repeated key stands: the read page, its raw bytes or their hash (None: settled), its
    decision in the draft, and the draft pages that set it aside or take it out of quarantine.
    """

    page: int
    content: bytes | int | None = None
    draft: tuple[int, int] | None = None
    told: set[int] = field(default_factory=set)


Keep = Callable[[str, int], bool]


def resolve_repeats(step: Step, stream: Stream) -> Keep | None:
    """Settle keys that one read held more than once; tells which newcomers of which page stay, or
    None if all do.
    """
    names = {hash(key): key for key in step.conflicted.get(stream.name, ())}
    conflicted = set(names)
    found: dict[int, list[Occurrence]] = defaultdict(list)
    with step.facts.open():
        again = repeated([step.draft.seen(step.facts.conn, stream.name)]) | conflicted
        if not again:
            return None
        step.repeating.add(stream.name)
        conflicted |= again.intersection(step.refused.get(stream.name, ()))
        for (_, one), place in _occurrences(step, stream, again, names).items():
            found[one].append(place)
    stays: dict[int, int] = {}
    dropped: dict[int, set[int]] = defaultdict(set)
    retracted: dict[int, set[str]] = defaultdict(set)
    aside = []
    for one, places in found.items():
        key = names.get(one, "")
        winner = None if one in conflicted else _winner(stream.repeats, places)
        if winner is None and stream.repeats is Repeats.CONFLICT:
            aside.append(_duplicate(stream, key))
        stays[one] = winner.page if winner else -1
        for place in places:
            if place is not winner and place.draft:
                dropped[place.draft[0]].add(place.draft[1])
            if place is not winner:
                for page in place.told:
                    retracted[page].add(key)
    _retract(step, retracted)
    _drop(step, dropped, lambda _links: [])
    _set_aside(step, stream, aside)
    reach("settle.repeats")
    return lambda key, page: stays.get(hash(key), page) == page


Places = dict[tuple[int, int], Occurrence]
"""By read page and hash of key; in the order of the read."""


def _occurrences(step: Step, stream: Stream, again: set[int], names: dict[int, str]) -> Places:
    """Where the repeated keys stand; `names` grows by what they are called."""
    places: Places = {}
    for seen in step.draft.seen_pages(step.facts.conn, stream.name):
        hashes = array("q")
        hashes.frombytes(seen.keys)
        for one in again.intersection(hashes):
            places[seen.page, one] = Occurrence(seen.page)
        for key, raw in seen.newcomers:
            if hash(key) in again:
                names[hash(key)] = key
                places[seen.page, hash(key)].content = raw
    misfits = step.misfits.get(stream.name, array("q"))
    for number, one, content in zip(misfits[::3], misfits[1::3], misfits[2::3], strict=True):
        if one in again:
            places[number, one].content = content
    for page in step.draft.pages(step.facts.conn, stream.name):
        _add_decisions(page, places, names)
    if again - names.keys():  # what is in quarantine for the same reason is not told again
        for aside in step.facts.quarantine_items(stream.name):
            names |= {hash(key): key for key, _ in aside if hash(key) in again}
    return places


def _add_decisions(page: DraftPage, places: Places, names: dict[int, str]) -> None:
    """Note on occurrences what their draft page decided about them."""
    for at, link in enumerate(page.body.links):
        spot = places.get((page.origin(link.key), hash(link.key)))
        if spot is not None:
            names[hash(link.key)] = link.key
            spot.content, spot.draft = link.raw, (page.page, at)
    for key in _told(page):
        spot = places.get((page.origin(key), hash(key)))
        if spot is not None:
            names[hash(key)] = key
            spot.told.add(page.page)


def _told(page: DraftPage) -> list[str]:
    """Keys that a draft page sets aside or takes out of quarantine."""
    aside = [one.key for one in page.body.quarantined if one.stream == page.stream]
    return aside + [key for stream, key in page.body.healed if stream == page.stream]


def _retract(step: Step, retracted: dict[int, set[str]]) -> None:
    """Take back what pages say about the quarantine of keys on which another one decides."""
    for number, keys in sorted(retracted.items()):
        with step.facts.open():
            page = step.draft.page(step.facts.conn, number)
        body, these = page.body, {(page.stream, key) for key in keys}
        stays = [one for one in body.quarantined if (one.stream, one.key) not in these]
        step.counts["quarantined"] -= len(body.quarantined) - len(stays)
        body.quarantined = stays
        body.healed = [pair for pair in body.healed if pair not in these]
        step.write(lambda conn, page=page: step.draft.rewrite(conn, page))  # type: ignore[misc]


def _winner(repeats: Repeats, places: Sequence[Occurrence]) -> Occurrence | None:
    """The occurrence that counts: the last, or, where a key may not repeat, one that all equal."""
    if repeats is Repeats.LAST:
        return places[-1]
    return places[0] if len({place.content for place in places}) == 1 else None


def _duplicate(stream: Stream, key: str) -> Quarantined:
    message = "the source holds this key more than once, with different content: none is believed"
    return Quarantined(stream.name, key, DUPLICATE, message, (), None)


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
    for link in _drop(step, dropped, aside):
        if link.stream == "organizations":
            directory.clients[link.key] = None
        elif link.stream == "locations":
            directory.forget_site(link.key, link.entity)
    reach("settle.conflicts")


def _shared(stream: Stream, link: LinkWrite) -> Quarantined:
    message = "several new records claim the same user, client or unique key: none is believed"
    return Quarantined(stream.name, link.key, SHARED, message, (), link.raw)


def _drop(
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


def _set_aside(step: Step, stream: Stream, aside: list[Quarantined]) -> None:
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
        links = step.facts.links(stream.name, self._missing(keys)).values()
        page = Page()
        swept = [link for link in links if link.state in sweepable(stream)]
        plan_gone(step.context, stream.name, swept, "absent", page)
        return {link.key for link in page.out.links if link.state == LinkState.GONE}

    def returning(self, keys: list[str]) -> set[str]:
        """Which of these keys, whose link is dead, the source holds again."""
        return set(keys).difference(self._missing(keys))

    def _missing(self, keys: list[str]) -> list[str]:
        if self._seen is None:
            self._seen = self.step.draft.seen(self.step.facts.conn, self.stream.name)
        return missing(keys, self._seen)


def absence_tells(step: Step, stream: Stream) -> bool:
    """Whether who is missing from this read of the stream is gone."""
    full = step.full or stream.name not in step.cursors
    return full and step.connector.deletes(stream) is Deletes.ABSENCE


def sweepable(stream: Stream) -> tuple[LinkState, ...]:
    """The states of links that a sweep looks at."""
    people = stream.name == "people"
    return (LinkState.ALIVE, LinkState.MISSED) if people else (LinkState.ALIVE,)


def _sweep(step: Step, stream: Stream) -> None:
    """Plan for what a complete read did not mention, where absence means something."""
    if not absence_tells(step, stream):
        return
    name = stream.name
    with step.facts.open():
        living = step.living.get(name)
        if living is None:
            living = step.facts.count_living(name, sweepable(stream))
    step.counts[f"living {name}"] = living
    if not _saw_all(step, name, living):
        _compare(step, stream, living)


def _compare(step: Step, stream: Stream, living: int) -> None:
    """Plan for the living links whose key was not seen."""
    done, after, name = 0, "", stream.name
    with step.facts.open():
        seen = step.draft.seen(step.facts.conn, name)
    while True:
        with step.facts.open():
            keys = step.facts.living(name, sweepable(stream), after, SWEPT_AT_ONCE)
        if not keys:
            return
        absent = missing(keys, seen)
        for start in range(0, len(absent), step.batch):
            _plan_absent(step, stream, absent[start : start + step.batch])
        step.counts[f"absent {name}"] += len(absent)
        done, after = done + len(keys), keys[-1]
        step.report(Progress("sweep", name, done, living))


def _saw_all(step: Step, stream: str, living: int) -> bool:
    """Whether each of the living links was seen: as many as there are, and none of them twice."""
    return step.living_seen[stream] == living and stream not in step.repeating


def _plan_absent(step: Step, stream: Stream, absent: Sequence[str]) -> None:
    page = Page()
    with step.facts.open():
        links = list(step.facts.links(stream.name, absent).values())
        plan_gone(step.context, stream.name, links, "absent", page)
    step.store(stream.name, PAGE_OF_SETTLING, page.out)
