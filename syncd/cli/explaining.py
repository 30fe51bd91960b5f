"""explain: everything that is known about one client, site, user or record of a source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from syncd.changes import NOBODY
from syncd.cli import explained, finding, session
from syncd.cli.console import as_json, say, talk
from syncd.cli.explained import Explanation
from syncd.cli.session import AsJson, InClient
from syncd.entities import DESK, Kind
from syncd.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from syncd.store.answers import Named
    from syncd.store.answers_review import Record
    from syncd.store.database import Database
    from syncd.sync.engine import Engine


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
        as_json(**explained.as_data(found))
        return
    say("\n".join(explained.told(found)).strip("\n"))


def _explained(
    engine: Engine, reference: str, kind: Kind | None, client: UUID | None
) -> Explanation:
    from syncd.store import answers_explain, answers_review, answers_runs

    database = engine.database
    found = Explanation()
    meant = _meant(database, reference, kind, client)
    if meant:
        _add_entity(engine, meant, found)
    else:
        found.sources = answers_explain.sources_named(database, reference)
    named = answers_review.named(database, answers_review.Wanted(key=reference))
    keys = {source.key for source in found.sources} | {record.key for record in named}
    found.aside = [
        one
        for key in sorted({reference, *keys})
        for one in answers_runs.quarantine(database, key=key, limit=0)
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
    return [(one, labels.get(_named_by(one) or NOBODY)) for one in records]


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
        told = [each for each in kinds if each in DESK]
        known = [answers_merged.known_before(database, each, reference, client) for each in told]
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
    near = [finding.near(database, each, reference, client) for each in DESK]
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
        return match_rules(engine.rules(connection)).get(kind, ())
    except ConfigError as problem:
        talk(f"{connection}: its rules are not shown: {problem}")
        return ()
