"""Small directories that collide a lot, their edit histories, and a connector that serves them.

There are few names, few addresses and few keys, in several spellings, so that swaps, duplicates,
shared keys and rejects happen in most examples.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from hypothesis import strategies as st

from syncd.connectors import base
from syncd.connectors.base import Connector, Deletes, Page, Partition, RawItem, Repeats
from syncd.records import Identity, Location, Organization, Person, Record, Reject

Item = dict[str, Any]
Directory = dict[str, list[Item]]
"""Stream to items; a key may stand there more than once."""

ORGS, SITES, PEOPLE = "organizations", "locations", "people"
O_KEYS, L_KEYS, P_KEYS = ("o1", "o2", "o3"), ("l1", "l2", "l3"), tuple(f"p{n}" for n in range(1, 7))
CLIENT_NAMES = ("Alder", "alder ", "Bîrch", "Bi\u0302rch")  # case, NFC and NFD
SITE_NAMES = ("Main", "London", "LONDON", "Leeds")
MAILS = ("a@x.com", "A@X.com", "b@x.com", "é@x.com", "e\u0301@x.com", "not an address", None)
LOGINS = ("ann", "Ann", "bob", "bob\u00a0", None)
NAMES = ("Ann", "Bob", "Zoë", "Zoe\u0308")
IDENTITIES = ("s1", "s1", "s2")
TOO_LONG = "x" * 300


def _records(kind: type[Record]) -> base.Parse:
    def parse(raw: bytes) -> Sequence[Record | Reject]:
        item = json.loads(raw)
        if item.pop("bad", False):
            return [Reject(item["key"], "bad_value", "it cannot be read")]
        if "identities" in item:
            item["identities"] = [Identity("idp", one) for one in item["identities"]]
        return [kind.model_validate(item)]

    return parse


class Memory(Connector[base.Config]):
    """Serves `directory` in pages of `page_size`, in the order that `shuffle` says."""

    name: ClassVar[str] = "memory"
    directory: ClassVar[Directory] = {}
    page_size: ClassVar[int] = 3
    backwards: ClassVar[bool] = False
    turn: ClassVar[int] = 0

    def _pages(self, stream: str) -> Iterator[Page]:
        items = [
            RawItem(item["key"], json.dumps(item, sort_keys=True).encode())
            for item in self.directory.get(stream, [])
        ]
        at = self.turn % len(items) if items else 0
        items = items[at:] + items[:at]
        if self.backwards:
            items.reverse()
        for start in range(0, len(items), self.page_size):
            yield Page(items[start : start + self.page_size], total=len(items))

    @base.stream(
        Organization,
        parse=_records(Organization),
        deletes=Deletes.ABSENCE,
        repeats=Repeats.CONFLICT,
    )
    def organizations(self, partition: Partition, cursor: str | None) -> Iterator[Page]:
        return self._pages(ORGS)

    @base.stream(
        Location, parse=_records(Location), deletes=Deletes.ABSENCE, repeats=Repeats.CONFLICT
    )
    def locations(self, partition: Partition, cursor: str | None) -> Iterator[Page]:
        return self._pages(SITES)

    @base.stream(Person, parse=_records(Person), deletes=Deletes.ABSENCE, repeats=Repeats.CONFLICT)
    def people(self, partition: Partition, cursor: str | None) -> Iterator[Page]:
        return self._pages(PEOPLE)


# -- strategies ------------------------------------------------------------------------------------


def _item(key: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Item]:
    filled = st.fixed_dictionaries({"key": st.just(key), **fields})
    return filled.map(lambda item: {k: v for k, v in item.items() if v is not None})


def _rarely(value: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from([None] * 9 + [value])


def organization(key: str) -> st.SearchStrategy[Item]:
    return _item(
        key,
        name=st.sampled_from(CLIENT_NAMES),
        reference=st.sampled_from((None, None, "r1", "r2")),
        active=st.sampled_from((None, None, True, False)),
        bad=_rarely(True),
    )


def location(key: str) -> st.SearchStrategy[Item]:
    return _item(
        key,
        organization=st.sampled_from((*O_KEYS, "o9")),
        name=st.sampled_from(SITE_NAMES),
        bad=_rarely(True),
    )


def person(key: str) -> st.SearchStrategy[Item]:
    return _item(
        key,
        organization=st.sampled_from((*O_KEYS, *O_KEYS, *O_KEYS, "o9", None)),
        location=st.sampled_from((*L_KEYS, None)),
        display_name=st.sampled_from((*NAMES, *NAMES, None)),
        mail=st.sampled_from(MAILS),
        user_principal_name=st.sampled_from((*LOGINS, *LOGINS, TOO_LONG)),
        job_title=st.sampled_from(("Cook", "Clerk", None)),
        office_location=st.sampled_from((None, None, "London", "Hull")),  # the first spells a site
        user_type=st.sampled_from((None, None, None, None, "Guest")),
        active=st.sampled_from((None, None, True, False)),
        identities=st.sampled_from((None, None, [f"of {key}"], *([one] for one in IDENTITIES))),
        bad=_rarely(True),
    )


ITEM_OF = {ORGS: (O_KEYS, organization), SITES: (L_KEYS, location), PEOPLE: (P_KEYS, person)}


@st.composite
def directories(draw: st.DrawFn, *, repeats: bool = True) -> Directory:
    made: Directory = {}
    for stream, (keys, item) in ITEM_OF.items():
        chosen = draw(st.lists(st.sampled_from(keys), unique=True, min_size=1))
        made[stream] = [draw(item(key)) for key in chosen]
    if repeats and draw(st.integers(0, 3)) == 0:
        stream = draw(st.sampled_from(list(ITEM_OF)))
        twice = draw(st.sampled_from(made[stream]))
        other = draw(st.one_of(st.just(twice), ITEM_OF[stream][1](twice["key"])))
        made[stream].insert(draw(st.integers(0, len(made[stream]))), other)
    return made


@st.composite
def edited(draw: st.DrawFn, directory: Directory, *, repeats: bool = True) -> Directory:
    """The directory a while later: some items differ, some are gone, some are new or back."""
    fresh = draw(directories(repeats=repeats))
    result: Directory = {}
    for stream, items in directory.items():
        later = {item["key"]: item for item in fresh[stream]}
        kept = []
        for item in {item["key"]: item for item in items}.values():
            fate = draw(st.sampled_from(("same", "same", "gone", "field", "field", "other")))
            other = later.get(item["key"], item)
            if fate == "same":
                kept.append(item)
            elif fate == "field":
                name = draw(st.sampled_from(sorted({*item, *other} - {"key"}) or ["key"]))
                changed = {**item, name: other.get(name)}
                required = {"organization"} if stream == SITES else set()
                kept.append(
                    item
                    if name in required and not other.get(name)
                    else {k: v for k, v in changed.items() if v is not None}
                )
            elif fate == "other":
                kept.append(other)
        known = {item["key"] for item in items}
        result[stream] = kept + [item for item in fresh[stream] if item["key"] not in known]
    if draw(st.booleans()):
        _swap(draw, result[PEOPLE])
    return result


def _swap(draw: st.DrawFn, people: list[Item]) -> None:
    """Two people exchange a unique key."""
    if len(people) < 2:
        return
    one, other = draw(st.permutations(range(len(people))))[:2]
    field = draw(st.sampled_from(("mail", "user_principal_name")))
    first, second = people[one].get(field), people[other].get(field)
    for at, value in ((one, second), (other, first)):
        people[at] = {k: v for k, v in {**people[at], field: value}.items() if v is not None}


@st.composite
def histories(
    draw: st.DrawFn, *, least: int = 2, most: int = 3, repeats: bool = True
) -> list[Directory]:
    days = [draw(directories(repeats=repeats))]
    for _ in range(draw(st.integers(least - 1, most - 1))):
        days.append(draw(edited(days[-1], repeats=repeats)))
    return days
