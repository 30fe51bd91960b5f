"""What is known of one client, site, user or record of a source, told as text and as data."""

from __future__ import annotations

import json as codec
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from syncd.changes import LICENSES, NOTES, LinkState
from syncd.cli import describe, leavers
from syncd.cli.advice import advice
from syncd.cli.console import plain, quoted
from syncd.entities import CUSTOM, FIELDS, LOCAL, Entity, Kind

if TYPE_CHECKING:
    from syncd.store.answers_explain import Rule, Source, Standing
    from syncd.store.answers_merged import Absorbed
    from syncd.store.answers_review import Record
    from syncd.store.answers_runs import AsideLine, ChangeLine
    from syncd.sync.leavers import Leaver

_STATES = {
    LinkState.ALIVE: "alive",
    LinkState.SKIPPED: "skipped: the record is read, and not kept",
    LinkState.MISSED: "missed by a complete read",
    LinkState.LEAVING: "leaving: the clock of its rule runs",
    LinkState.GONE: "gone from the source",
    LinkState.UNDONE: "undone: its creation was taken back",
    LinkState.UNLINKED: "unlinked by a person",
}

_HOW = {"": "created from this record", "merged": "came with a merge"}
"""How a record came to its entity, where no correlation rule did that."""


@dataclass(slots=True)
class Explanation:
    """What is known: an entity with all that led to it, or records that are not kept, or both."""

    standing: Standing | None = None
    absorbed: list[Absorbed] = field(default_factory=list)
    """Who was merged into it."""
    sources: list[Source] = field(default_factory=list)
    rules: dict[str, list[Rule]] = field(default_factory=dict)
    """Per connection: what its correlation rules find today."""
    changes: list[ChangeLine] = field(default_factory=list)
    aside: list[AsideLine] = field(default_factory=list)
    raws: dict[tuple[str, str, str], bytes | None] = field(default_factory=dict)
    """Items in quarantine, by connection, stream and key."""
    barred: list[str] = field(default_factory=list)
    decided: list[tuple[Record, str | None]] = field(default_factory=list)
    """Records that a person spoke about or pinned, with whom they named."""
    leaving: list[Leaver] = field(default_factory=list)
    """The records by which a user is on the way out."""


def told(found: Explanation) -> Iterator[str]:
    """The lines that people read."""
    if found.standing:
        yield from _entity_lines(found.standing)
        yield from _merged_lines(found.absorbed)
        if found.standing.entity.kind is Kind.USER:
            yield from _sign_in_lines(found)
            yield from _leaving_lines(found.leaving)
            yield from _license_lines(found.standing)
        yield from _value_lines(found.standing, found.sources)
    for source in found.sources:
        yield from _source_lines(source, _rule_of(source, found))
    for record, whom in found.decided:
        yield from _word_lines(record, whom)
    for connection, rules in found.rules.items():
        yield from _rule_lines(connection, rules, found)
    for one in found.aside:
        yield from _aside_lines(one, found)
    if found.standing:
        yield from _change_lines(found.changes)


def _entity_lines(standing: Standing) -> Iterator[str]:
    entity = standing.entity
    yield f"{entity.kind} {plain(entity.values.get('name'))}"
    yield f"  id      {entity.id}"
    if standing.client:
        yield f"  client  {plain(standing.client.values.get('name'))}{_by_hand(entity, 'client')}"
    if standing.site:
        yield f"  site    {plain(standing.site.values.get('name'))}{_by_hand(entity, 'site')}"
    if entity.retired:
        yield "  retired: its creation was undone; it comes back if its record does"


def _merged_lines(absorbed: list[Absorbed]) -> Iterator[str]:
    for one in absorbed:
        yield f"  merged with {plain(one.label)} on {plain(one.at)} by {plain(one.actor)}"
        yield f"          (run {one.run}; its id was {one.id})"


def _by_hand(entity: Entity, name: str) -> str:
    """That no source may change this, where a person said so."""
    return "  (set by hand)" if name in entity.overrides else ""


def _sign_in_lines(found: Explanation) -> Iterator[str]:
    assert found.standing is not None
    yield ""
    yield f"could sign in: {'no' if found.barred else 'yes'}"
    for why in found.barred:
        yield f"  {plain(why)}"
    for identity in found.standing.identities:
        yield f"  identity {plain(identity.issuer)} {plain(identity.subject)}"
    if "identities" in found.standing.entity.overrides:
        yield "  a person said so: no source adds an identity until `identities` is released"


def _leaving_lines(leaving: list[Leaver]) -> Iterator[str]:
    for one in leaving:
        yield f"on the way out: {'; '.join(leavers.lines(one))}"


def _license_lines(standing: Standing) -> Iterator[str]:
    if standing.licenses:
        yield ""
        yield f"licenses, and who says so{_by_hand(standing.entity, LICENSES)}"
    for provider, name, count in standing.licenses:
        yield f"  {plain(name)}{f' ({count})' if count > 1 else ''}  {provider}"


def _value_lines(standing: Standing, sources: Sequence[Source]) -> Iterator[str]:
    here = _living(sources)
    gone = {one.connection for one in sources} - set(here)
    yield ""
    yield "values, and who gave them"
    for name, value, owner in _values(standing, here):
        yield f"  {name:<20} {quoted(value)}  {owner}{', which has it no more' * (owner in gone)}"


def _living(sources: Iterable[Source]) -> list[str]:
    """The connections that have the entity."""
    here = (LinkState.ALIVE, LinkState.MISSED, LinkState.LEAVING)
    return sorted({one.connection for one in sources if one.state in here})


def _values(standing: Standing, here: Sequence[str]) -> Iterator[tuple[str, Any, str]]:
    """(name, value, owner). Whether a user is active is not one source's to say: where the one that
    said so first has the user no more, it is for all that have.
    """
    entity = standing.entity
    custom = sorted(name for name in entity.values if name.startswith(CUSTOM))
    for name in (*FIELDS[entity.kind], *custom):
        if name in entity.values or name in entity.overrides:
            owner = entity.owner(name)
            shared = name == "active" and entity.active and owner not in (LOCAL, None, *here)
            if shared and here:
                owner = ", ".join(here)
            free = "by hand, until a source says otherwise"
            told = {LOCAL: "set by hand" if name in entity.overrides else free, None: "nobody"}
            yield name, entity.values.get(name), told.get(owner) or str(owner)


def _rule_of(source: Source, found: Explanation) -> str:
    """The correlation rule that tied a record to its entity; "" where it was created from it."""
    known = {one.rule for one in found.rules.get(source.connection, ())}
    used = (
        one.rule
        for one in found.changes
        if (one.connection, one.stream, one.key) == (source.connection, source.stream, source.key)
        and one.rule in known
    )
    return source.matched_by or next(used, "")


def _source_lines(source: Source, rule: str) -> Iterator[str]:
    yield ""
    yield f"{source.connection} {source.stream} {plain(source.key)}"
    note = NOTES.get(source.note, source.note)
    yield f"  {_STATES[source.state]}{f' ({plain(note)})' if note else ''}"
    how = _HOW.get(rule, f"matched by {rule}")
    yield f"  {how}; last written by run {source.run}" if source.entity else "  tied to nobody"
    if source.misses and source.state in (LinkState.MISSED, LinkState.GONE):
        yield f"  missed by {source.misses} complete reads"
    if source.owner:
        yield f"  it came inside the item {plain(source.owner)}"
    yield from _item_lines(source.raw)


def _word_lines(record: Record, whom: str | None) -> Iterator[str]:
    yield ""
    yield f"decided by a person: {record.connection} {record.stream} {plain(record.key)}"
    if record.link and record.link.pinned:
        yield "  pinned: only a person changes whom it is linked to"
    if record.standing:
        word, at, _, run = record.standing
        yield f"  {word.verdict}{f' to {plain(whom)}' if whom else ''}, for good"
        yield f"  said by {plain(word.actor)} at {plain(at)} (run {run})"
        if word.reason:
            yield f"  because: {plain(word.reason)}"


def _word_data(record: Record) -> dict[str, Any]:
    told: dict[str, Any] = {"connection": record.connection, "stream": record.stream}
    told |= {"key": record.key, "pinned": bool(record.link and record.link.pinned)}
    if record.standing:
        word, at, _, run = record.standing
        told |= {**word._asdict(), "at": at, "run": run}
    return told


def _item_lines(raw: bytes | None) -> Iterator[str]:
    for name, value in _item(raw).items():
        yield f"    {plain(name):<20} {quoted(value)}"


def _item(raw: bytes | None) -> dict[str, Any]:
    """What the source said, as fields; secrets have no place in it, and are hidden all the same."""
    from syncd import log

    try:
        said = codec.loads(raw) if raw else {}
    except ValueError:
        return {"(not JSON)": f"{len(raw or b'')} bytes"}
    fields = said if isinstance(said, dict) else {"(item)": said}
    shown = {name: value for name, value in fields.items() if not name.startswith("#")}
    return dict(log.redact(None, "", shown))


def _rule_lines(connection: str, rules: list[Rule], found: Explanation) -> Iterator[str]:
    assert found.standing is not None
    matched = {_rule_of(one, found) for one in found.sources if one.connection == connection}
    yield ""
    yield f"rules of {connection}, and whom each finds today"
    for one in rules:
        mark = "*" if one.rule in matched else " "
        rivals = [label for holder, label in one.holders if holder != found.standing.entity.id]
        if not all(one.keys) or not one.keys:
            told = "no such key, so it finds nobody"
        else:
            told = f"rivals: {'; '.join(map(plain, rivals))}" if rivals else "no rivals"
        yield f" {mark}{one.rule:<20} {plain(' + '.join(one.keys)) or '-'}  {told}"


def _aside_lines(one: AsideLine, found: Explanation) -> Iterator[str]:
    yield ""
    yield f"in quarantine: {one.connection} {one.stream} {plain(one.key)}: {one.code}"
    for told in describe.aside_details(one):
        yield f"  {told}"
    yield from _item_lines(found.raws.get((one.connection, one.stream, one.key)))


def _change_lines(changes: list[ChangeLine]) -> Iterator[str]:
    yield ""
    yield "history, newest first"
    for one in changes:
        yield f"  {plain(one.at)}  {describe.origin(one)}"
        for line in describe.change_lines(one):
            yield f"    {line}"


def as_data(found: Explanation) -> dict[str, Any]:
    """The same for programs."""
    entity = found.standing.entity if found.standing else None
    told: dict[str, Any] = {"entity": None}
    if found.standing and entity:
        told["entity"] = {
            "kind": entity.kind,
            "id": entity.id,
            "client": found.standing.client and found.standing.client.values.get("name"),
            "site": found.standing.site and found.standing.site.values.get("name"),
            "retired": entity.retired,
            "merged": [one._asdict() for one in found.absorbed],
            "values": {
                name: {"value": value, "owner": owner}
                for name, value, owner in _values(found.standing, _living(found.sources))
            },
            "identities": found.standing.identities,
        }
        if entity.kind is Kind.USER:
            told["sign_in"] = {"possible": not found.barred, "reasons": found.barred}
            told["licenses"] = [one._asdict() for one in found.standing.licenses]
            told["leaving"] = [leavers.as_data(one) for one in found.leaving]
    told["sources"] = [
        {**one._asdict(), "matched_by": _rule_of(one, found), "raw": _item(one.raw)}
        for one in found.sources
    ]
    told["decisions"] = [_word_data(record) for record, _ in found.decided]
    told["rules"] = found.rules
    told["quarantine"] = [
        {
            **one._asdict(),
            "repair": advice(one.code),
            "raw": _item(found.raws.get((one.connection, one.stream, one.key))),
        }
        for one in found.aside
    ]
    told["changes"] = [describe.change_json(one) for one in found.changes]
    return told
