"""explain: everything that is known about one client, site, user or record of a source."""

from __future__ import annotations

import json as codec
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from syncd.changes import NOTES, LinkState
from syncd.cli import describe, finding, leavers, session
from syncd.cli.advice import advice
from syncd.cli.console import as_json, plain, quoted, say, talk
from syncd.cli.session import AsJson, InClient
from syncd.entities import CUSTOM, FIELDS, Entity, Kind
from syncd.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from syncd.store.answers import Named
    from syncd.store.answers_explain import Rule, Source, Standing
    from syncd.store.answers_merged import Absorbed
    from syncd.store.answers_review import Record
    from syncd.store.answers_runs import AsideLine, ChangeLine
    from syncd.store.database import Database
    from syncd.sync.engine import Engine
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


def explain(
    context: typer.Context,
    reference: Annotated[
        str, typer.Argument(metavar="REF", help="A user, client, site, or a key of a source.")
    ],
    *,
    kind: Annotated[Kind | None, typer.Option(help="Look among these only.")] = None,
    client: InClient = None,
    json: AsJson = False,
) -> None:
    """Tell why a record is as it is: its sources, its rule, its values, its history."""
    with session.of(context).engine() as engine:
        owner = finding.one(engine.database, Kind.CLIENT, client).id if client else None
        found = _explained(engine, reference, kind, owner)
    if json:
        as_json(**_as_data(found))
        return
    say("\n".join(_told(found)).strip("\n"))


# -- gathering -------------------------------------------------------------------------------------


def _explained(
    engine: Engine, reference: str, kind: Kind | None, client: UUID | None
) -> Explanation:
    from syncd.store import answers_explain, answers_runs

    database = engine.database
    found = Explanation()
    meant = _meant(database, reference, kind, client)
    if meant:
        _add_entity(engine, meant, found)
    else:
        found.sources = answers_explain.sources_named(database, reference)
    keys = {reference, *(source.key for source in found.sources)}
    found.aside = [
        one for key in sorted(keys) for one in answers_runs.quarantine(database, key=key, limit=0)
    ]
    for one in found.aside:
        place = (one.connection, one.stream, one.key)
        found.raws[place] = answers_explain.raw_in_quarantine(database, *place)
    found.decided = _decided(database, keys)
    if not meant and not found.sources and not found.aside:
        _give_up(database, reference, client)
    return found


def _decided(database: Database, keys: set[str]) -> list[tuple[Record, str | None]]:
    from syncd.store import answers, answers_review

    records = [
        one
        for key in sorted(keys)
        for one in answers_review.named(database, answers_review.Wanted(key=key))
        if one.standing or (one.link and one.link.pinned)
    ]
    named = {one.standing.word.entity for one in records if one.standing}
    ids = {one for one in named if one}
    labels = database.query(lambda conn: answers.labels(database, conn, ids))
    return [(one, labels.get(_named_by(one))) for one in records]  # type: ignore[arg-type]


def _named_by(record: Record) -> UUID | None:
    return record.standing.word.entity if record.standing else None


def _meant(
    database: Database, reference: str, kind: Kind | None, client: UUID | None
) -> Named | None:
    """The entity that is named, or that a record with this key is tied to."""
    from syncd.store import answers, answers_explain, answers_merged

    kinds = [kind] if kind else list(Kind)
    named = [one for each in kinds for one in answers.referred(database, each, reference, client)]
    if not named:
        known = [answers_merged.known_before(database, each, reference, client) for each in kinds]
        named = [one for some in known for one in some]
    if not named:
        tied = answers_explain.sources_named(database, reference)
        ids = {one.entity for one in tied if one.entity and one.kind in kinds}
        named = database.query(lambda conn: answers.named(database, conn, ids))
    if len(named) > 1:
        raise finding.ambiguous(reference, named)
    return named[0] if named else None


def _give_up(database: Database, reference: str, client: UUID | None) -> None:
    """Nothing has exactly this name: list what comes near."""
    near = [finding.near(database, each, reference, client) for each in Kind]
    listed = "".join(f"\n  {one}" for some in near for one in some)
    raise UsageError(
        f'nothing is called "{reference}", and no source has a record with this key'
        + (f"; did you mean one of these?{listed}" if listed else "")
    )


def _add_entity(engine: Engine, meant: Named, found: Explanation) -> None:
    from syncd.store import answers_explain, answers_merged, answers_runs
    from syncd.store.answers_leavers import Wanted
    from syncd.sync.leavers import leavers as going

    database = engine.database
    found.standing = answers_explain.standing(database, meant.kind, meant.id)
    found.absorbed = answers_merged.absorbed(database, meant.id)
    found.sources = answers_explain.sources_of(database, meant.id)
    found.changes = answers_runs.changes(database, answers_runs.Asked(entity=meant.id, limit=0))
    if meant.kind is Kind.USER:
        found.barred = answers_explain.barred(found.standing)
        found.leaving = going(engine, Wanted(user=meant.id)).lines
    for name in dict.fromkeys(source.connection for source in found.sources):
        if rules := _match_rules(engine, name, meant.kind):
            found.rules[name] = answers_explain.correlated(database, found.standing.entity, rules)


def _match_rules(engine: Engine, connection: str, kind: Kind) -> tuple[tuple[str, ...], ...]:
    """The correlation rules of a connection's mapping; none if it is not configured any more."""
    from syncd.sync.engine import match_rules

    try:
        return match_rules(engine.rules(connection))[kind]
    except ConfigError as problem:
        talk(f"{connection}: its rules are not shown: {problem}")
        return ()


# -- telling ---------------------------------------------------------------------------------------


def _told(found: Explanation) -> Iterator[str]:
    if found.standing:
        yield from _entity_lines(found.standing)
        yield from _merged_lines(found.absorbed)
        if found.standing.entity.kind is Kind.USER:
            yield from _sign_in_lines(found)
            yield from _leaving_lines(found.leaving)
        yield from _value_lines(found.standing)
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


def _value_lines(standing: Standing) -> Iterator[str]:
    yield ""
    yield "values, and who gave them"
    for name, value, owner in _values(standing):
        yield f"  {name:<20} {quoted(value)}  {owner}"


def _values(standing: Standing) -> Iterator[tuple[str, Any, str]]:
    entity = standing.entity
    custom = sorted(name for name in entity.values if name.startswith(CUSTOM))
    for name in (*FIELDS[entity.kind], *custom):
        if name in entity.values or name in entity.overrides:
            owner = entity.owner(name)
            told = {"local": "set by hand", None: "nobody"}
            yield name, entity.values.get(name), told.get(owner) or str(owner)


def _rule_of(source: Source, found: Explanation) -> str:
    """The correlation rule that tied a record to its entity; "" where it was created from it."""
    known = {one.rule for one in found.rules.get(source.connection, ())}
    used = (
        one.rule
        for one in found.changes
        if (one.stream, one.key) == (source.stream, source.key) and one.rule in known
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


def _as_data(found: Explanation) -> dict[str, Any]:
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
                for name, value, owner in _values(found.standing)
            },
            "identities": found.standing.identities,
        }
        if entity.kind is Kind.USER:
            told["sign_in"] = {"possible": not found.barred, "reasons": found.barred}
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
