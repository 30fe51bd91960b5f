"""Planning: from parsed records and stored facts to decided changes. Pure; one page at a time.

Linked records are planned as their page is read. Newcomers (records without a link) are planned
when the stream has been read to its end, so that what linked records give up or take on in this
same plan is known whatever the order of the pages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from syncd.changes import Decisions, LinkFact, Quarantined
from syncd.entities import REFERENCE_OF
from syncd.mapping.clients import plan_clients
from syncd.mapping.fields import RecordRejected
from syncd.mapping.holdings import plan_holdings
from syncd.mapping.items import Item
from syncd.mapping.mapped import Mapped
from syncd.mapping.memberships import groups_of, plan_memberships
from syncd.mapping.page import KIND_OF, STREAM_OF, Candidate, Context, Page
from syncd.mapping.sites import plan_sites
from syncd.mapping.users import plan_users
from syncd.mapping.words import heed, leave_out_ignored
from syncd.records import (
    License,
    Location,
    Membership,
    Organization,
    Person,
    Record,
    Reject,
    Subscription,
)
from syncd.text import LONGEST_KEY, usable_key

Parse = Callable[[bytes], "Sequence[Record | Reject]"]

DECIDERS: tuple[tuple[type[Record], Callable[[Context, list[Candidate], Page], None]], ...] = (
    (Organization, plan_clients),
    (Location, plan_sites),
    (License, plan_holdings),
    (Subscription, plan_holdings),
    (Membership, plan_memberships),
    (Person, plan_users),
)


class Planner:
    """Plans one step, page by page."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.failures = 0
        """Items that could not be parsed or mapped, so far."""
        self.groups: Mapping[str, tuple[str, ...]] = {}
        """The groups of the people who are planned, where the mapping names any."""

    def plan(
        self,
        stream: str,
        parse: Parse,
        items: Sequence[Item],
        links: dict[str, LinkFact],
        quarantined: bool = True,
    ) -> Decisions:
        """The decisions of one page of one stream. `quarantined`: some item of the stream may be in
        quarantine already, so look.
        """
        page, facts = Page(), self.context.facts
        words = facts.decisions(stream, [item.key for item in items])
        left = leave_out_ignored(stream, items, links, words, page)
        if stream == STREAM_OF[Person]:
            self.groups = groups_of(self.context, [item.key for item in left])
        read = [
            candidate
            for item in left
            for candidate in self._candidates(stream, parse, item, links, page)
        ]
        candidates = heed(stream, read, words, facts, page)
        for record, decide in DECIDERS:
            chosen = [one for one in candidates if type(one.record) is record]
            if chosen:
                decide(self.context, chosen, page)
        for candidate in candidates:
            if candidate.mapped.notices:
                page.notices(candidate)
        if quarantined:
            self._compare_quarantine(stream, [item.key for item in items], page)
        return page.out

    def _candidates(
        self, stream: str, parse: Parse, item: Item, links: dict[str, LinkFact], page: Page
    ) -> list[Candidate]:
        made = []
        own = False
        for record in parse(item.raw):
            if isinstance(record, Reject):
                self._reject(stream, item, record, page)
                return []
            is_own = STREAM_OF[type(record)] == stream and record.key == item.key
            own = own or is_own
            candidate = self._candidate(stream, item, record, links, is_own, page)
            if candidate is None:
                return []
            made.append(candidate)
        if not own:
            reject = Reject(item.key, "no_record", "the item holds no record with its own key")
            self._reject(stream, item, reject, page)
            return []
        return made

    def _candidate(
        self,
        stream: str,
        item: Item,
        record: Record,
        links: dict[str, LinkFact],
        is_own: bool,
        page: Page,
    ) -> Candidate | None:
        if not _references_are_usable(record, is_own):
            self._reject(stream, item, _bad_key(item.key, record), page)
            return None
        if self.groups and record.key in self.groups:
            record = record.model_copy(update={"groups": self.groups[record.key]})
        try:
            mapped = self._mapped(record)
        except RecordRejected as problem:
            reject = Reject(item.key, problem.code, problem.message, (problem.field,))
            self._reject(stream, item, reject, page)
            return None
        if is_own:
            return Candidate(stream, record, mapped, item, links.get(item.key))
        other = STREAM_OF[type(record)]
        link = self.context.facts.links(other, [record.key]).get(record.key)
        return Candidate(other, record, mapped, None, link, owner=f"{stream}/{item.key}")

    def _mapped(self, record: Record) -> Mapped:
        """What the record says; a membership only says something of another one."""
        return Mapped({}) if isinstance(record, Membership) else self.context.rules.said(record)

    def _reject(self, stream: str, item: Item, reject: Reject, page: Page) -> None:
        self.failures += 1
        page.out.quarantined.append(
            Quarantined(
                stream, item.key, reject.reason, reject.message, tuple(reject.fields), item.raw
            )
        )

    def _compare_quarantine(self, stream: str, keys: list[str], page: Page) -> None:
        """Leave out what is in quarantine just so; note what healed."""
        stored = self.context.facts.quarantined(stream, keys)
        if not stored:
            return
        aside = {one.key for one in page.out.quarantined}
        page.out.healed += [(stream, key) for key in stored if key not in aside]
        page.out.quarantined = [
            one for one in page.out.quarantined if stored.get(one.key) != one.said
        ]


def _references_are_usable(record: Record, is_own: bool) -> bool:
    """Whether every key that the record names can be looked up on every database; its own was
    looked at already where it is its item's.
    """
    usable = is_own or usable_key(record.key)
    if isinstance(record, Location):
        return usable and bool(record.organization) and _is_usable(record.organization)
    if isinstance(record, Person):
        usable = usable and _is_usable(record.organization) and _is_usable(record.location)
        return usable and all(usable_key(part) for one in record.identities for part in one)
    if isinstance(record, License | Subscription):
        return usable and all(_is_usable(part) and part for _, part in _ids(record))
    return usable


def _ids(record: License | Subscription) -> list[tuple[str, str]]:
    """By name: what tells a license or subscription apart from all others."""
    name = REFERENCE_OF[KIND_OF[type(record)]]
    return [(one, getattr(record, one)) for one in ("organization", "provider", name)]


def _bad_key(key: str, record: Record) -> Reject:
    """Which key of a record that names an unusable one cannot be looked up, and why."""
    named: list[tuple[str, str | None]] = [("key", record.key)]
    if isinstance(record, Location):
        named.append(("organization", record.organization))
    elif isinstance(record, Person):
        named.append(("organization", record.organization or None))
        named.append(("location", record.location or None))
        named += [("identities", part) for one in record.identities for part in one]
    elif isinstance(record, License | Subscription):
        named += _ids(record)
    field, text = next((at, it) for at, it in named if it is not None and not usable_key(it))
    why = "is blank" if not text else "holds what no database can keep"
    if len(text) > LONGEST_KEY:
        why = f"is longer than {LONGEST_KEY} characters"
    what = {"key": "its key", "identities": "an identity"}.get(field, f"the key of its {field}")
    return Reject(key, "bad_key", f"{what} {why}", (field,))


@lru_cache(maxsize=1 << 14)
def _is_usable(key: str | None) -> bool:
    """Many records name the same client and site."""
    return not key or usable_key(key)
