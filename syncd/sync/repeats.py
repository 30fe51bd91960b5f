"""Keys that one read held more than once: which occurrence counts, if any."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from syncd.changes import Quarantined
from syncd.connectors.base import Repeats, Stream
from syncd.failpoints import reach
from syncd.store.drafted import DraftPage
from syncd.sync.settling import drop, set_aside
from syncd.sync.step import Step

DUPLICATE = "duplicate_key"


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
"""Whether the newcomer with this key, on this read page, is to be planned."""


@dataclass(slots=True)
class Verdicts:
    """What becomes of repeated keys: by hash of key the page whose newcomer stays (-1: none); by
    draft page the links to drop and the keys to say nothing of; what to set aside.
    """

    stays: dict[int, int] = field(default_factory=dict)
    dropped: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    retracted: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    aside: list[Quarantined] = field(default_factory=list)

    def judge(
        self, one: int, key: str, places: Sequence[Occurrence], winner: Occurrence | None
    ) -> None:
        """Keep the winner of a key's occurrences and nothing of the others."""
        self.stays[one] = winner.page if winner else -1
        for place in places:
            if place is winner:
                continue
            if place.draft:
                self.dropped[place.draft[0]].add(place.draft[1])
            for page in place.told:
                self.retracted[page].add(key)


def resolve_repeats(step: Step, stream: Stream) -> Keep | None:
    """Settle keys that one read held more than once; tells which newcomers of which page stay, or
    None if all do.
    """
    read = step.reads[stream.name]
    names = {hash(key): key for key in read.conflicted}
    unbelieved = set(names)
    with step.facts.open():
        again = step.draft.repeating(step.facts.conn, stream.name) | unbelieved
        if not again:
            return None
        read.repeating = True
        unbelieved |= again.intersection(read.refused)
        found = _occurrences(step, stream, again, names)
    verdicts = Verdicts()
    for one, places in found.items():
        key = names.get(one, "")
        winner = None if one in unbelieved else _winner(stream.repeats, places)
        verdicts.judge(one, key, places, winner)
        if winner is None and stream.repeats is Repeats.CONFLICT:
            verdicts.aside.append(_duplicate(stream, key))
    _retract(step, verdicts.retracted)
    drop(step, verdicts.dropped, lambda _links: [])
    set_aside(step, stream, verdicts.aside)
    reach("settle.repeats")
    return lambda key, page: verdicts.stays.get(hash(key), page) == page


Places = dict[tuple[int, int], Occurrence]
"""By read page and hash of key; in the order of the read."""


def _occurrences(
    step: Step, stream: Stream, again: set[int], names: dict[int, str]
) -> dict[int, list[Occurrence]]:
    """Where each repeated key stands, by its hash, in the order of the read; `names` grows by what
    they are called.
    """
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
    misfits = step.reads[stream.name].misfits
    for number, one, content in zip(misfits[::3], misfits[1::3], misfits[2::3], strict=True):
        if one in again:
            places[number, one].content = content
    for page in step.draft.pages(step.facts.conn, stream.name):
        _add_decisions(page, places, names)
    if again - names.keys():  # what is in quarantine for the same reason is not told again
        for aside in step.facts.quarantine_items(stream.name):
            names |= {hash(key): key for key, _ in aside if hash(key) in again}
    found: dict[int, list[Occurrence]] = defaultdict(list)
    for (_, one), place in places.items():
        found[one].append(place)
    return found


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
