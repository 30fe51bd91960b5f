"""From what a person typed to the one entity they mean; if several fit, they are listed."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from syncd.entities import Kind
from syncd.errors import UsageError

if TYPE_CHECKING:
    from syncd.store.answers import Named
    from syncd.store.database import Database
    from syncd.sync.engine import Engine

_HINTS = {
    Kind.CLIENT: "its reference, domain or name",
    Kind.SITE: "CLIENT/SITE, or its reference",
    Kind.USER: "an e-mail address, login or employee id",
}
_SUGGESTED = 5


def one(database: Database, kind: Kind, reference: str, client: UUID | None = None) -> Named:
    """The entity that a reference means; UsageError unless it is exactly one."""
    from syncd.store import answers
    from syncd.store.answers_merged import known_before

    found = answers.referred(database, kind, reference, client)
    if len(found) == 1:
        return found[0]
    if found:
        raise ambiguous(reference, found)
    if known := known_before(database, kind, reference, client):
        listed = " or ".join(f"{each.label} ({each.id})" for each in known)
        raise UsageError(f'the {kind} "{reference}" was merged into {listed}; name that one')
    nearby = near(database, kind, reference, client)
    perhaps = f"; did you mean {' or '.join(nearby)}?" if nearby else "."
    raise UsageError(f'no {kind} is called "{reference}"{perhaps} Name {_HINTS[kind]}.')


def known_connection(engine: Engine, name: str) -> None:
    """ConfigError unless a connection is called so, be it one that is not configured any more."""
    from syncd.store import answers_runs

    if name not in {one.name for one in answers_runs.connections(engine.database)}:
        engine.settings.connection(name)


def ambiguous(reference: str, found: list[Named]) -> UsageError:
    """Several entities answer to a reference: say which, and how to tell them apart."""
    listed = "\n".join(f"  {each.kind} {each.id}  {each.label}" for each in found)
    return UsageError(f'"{reference}" may be any of these; name one by its id:\n{listed}')


def near(database: Database, kind: Kind, reference: str, client: UUID | None) -> list[str]:
    """A few entities that a search for the reference finds, as they can be named."""
    from syncd.store import answers

    search = answers.Search(reference, client, limit=_SUGGESTED)
    if kind is Kind.USER:
        return [each.email or each.name for each in answers.users(database, search).lines]
    if kind is Kind.SITE:
        return [f"{each.client}/{each.name}" for each in answers.sites(database, search).lines]
    return [each.name for each in answers.clients(database, search).lines]
