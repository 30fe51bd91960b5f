"""Memberships: the groups that people are in, which are no part of their own records.

A membership makes and changes nothing itself. It is kept as an item of its own stream, and a person
whose groups changed is planned again, whatever the person's record says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from syncd.mapping.contributions import MEMBERSHIPS, groups_told
from syncd.mapping.page import Candidate, Context, Page
from syncd.records import Membership

Groups = tuple[str, ...]


def plan_memberships(work: Context, candidates: list[Candidate], page: Page) -> None:
    """Keep each membership, and have its person planned again."""
    for one in candidates:
        assert isinstance(one.record, Membership)
        work.groups[one.key] = one.record.groups
        work.again.add(one.key)
        page.link(one, None)


def forget(work: Context, keys: Iterable[str]) -> None:
    """These people are in none of the groups any more."""
    for key in keys:
        work.groups[key] = ()
        work.again.add(key)


def groups_of(work: Context, keys: Sequence[str]) -> Mapping[str, Groups]:
    """The groups of people by their keys, as this plan leaves them; nothing where the mapping names
    none.
    """
    if not work.rules.mapping.user.groups:
        return {}
    speaker = work.speakers(work.precedence.connection)
    parse = speaker.parse.get(MEMBERSHIPS) if speaker else None
    places = {(work.partition, MEMBERSHIPS, key) for key in keys if key not in work.groups}
    stored = work.facts.items(places) if parse and places else {}
    known = {place[2]: groups_told(parse, raw) for place, raw in stored.items()}
    return {**known, **{key: work.groups[key] for key in keys if key in work.groups}}
