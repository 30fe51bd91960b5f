"""clients, sites, users: search the desk, and set values by hand that no source overwrites."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from syncd.cli import describe, exits, finding, session
from syncd.cli.console import as_json, more, say, some, table, talk
from syncd.cli.groups import Searchable
from syncd.cli.session import Actor, AsJson, InClient, Limit, whoever
from syncd.entities import Kind
from syncd.errors import UsageError

if TYPE_CHECKING:
    from uuid import UUID

    from syncd.store.answers import Found
    from syncd.store.database import Database
    from syncd.sync.engine import Engine
    from syncd.sync.flow import Outcome

clients = typer.Typer(cls=Searchable, help="List clients, or set their values by hand.")
sites = typer.Typer(cls=Searchable, help="List sites, or set their values by hand.")
users = typer.Typer(cls=Searchable, help="List users, add one, or set values by hand.")

Query = Annotated[
    str, typer.Argument(metavar="[QUERY]", help="Words of names, addresses or references.")
]
Inactive = Annotated[bool, typer.Option("--inactive", help="Only who is inactive.")]
Reference = Annotated[str, typer.Argument(metavar="WHO", help="An address, reference, name or id.")]
Values = Annotated[list[str], typer.Argument(metavar="FIELD=VALUE...")]
Fields = Annotated[
    list[str] | None, typer.Argument(metavar="[FIELD]...", show_default="all set by hand")
]


# -- lists -----------------------------------------------------------------------------------------


@clients.command("list")
def list_clients(
    context: typer.Context,
    query: Query = "",
    *,
    inactive: Inactive = False,
    limit: Limit = 50,
    json: AsJson = False,
) -> None:
    """Search clients by name, reference and address."""
    _list(context, Kind.CLIENT, query, None, inactive, limit, json)


@sites.command("list")
def list_sites(
    context: typer.Context,
    query: Query = "",
    *,
    client: InClient = None,
    inactive: Inactive = False,
    limit: Limit = 50,
    json: AsJson = False,
) -> None:
    """Search sites by name, reference and postal address."""
    _list(context, Kind.SITE, query, client, inactive, limit, json)


@users.command("list")
def list_users(
    context: typer.Context,
    query: Query = "",
    *,
    client: InClient = None,
    inactive: Inactive = False,
    limit: Limit = 50,
    json: AsJson = False,
) -> None:
    """Search users by name, e-mail, reference and the address of their site."""
    _list(context, Kind.USER, query, client, inactive, limit, json)


def _plain(*names: str) -> dict[str, Callable[[Any], Any]]:
    return {name.replace("_", " "): attrgetter(name) for name in names}


_COLUMNS: dict[Kind, dict[str, Callable[[Any], Any]]] = {
    Kind.CLIENT: _plain("name", "ref", "domain", "top_level", "sites", "users", "active"),
    Kind.SITE: _plain("client", "name", "ref", "address", "role", "users", "active"),
    Kind.USER: {
        **_plain("client", "site", "name"),
        "e-mail": lambda user: user.email or user.login,
        **_plain("job_title", "phone"),
        "active": lambda user: (
            "by client or site: no" if user.active and user.barred else user.active
        ),
    },
}
"""Per kind: the headings of its list, and what stands below each."""


def _list(
    context: typer.Context,
    kind: Kind,
    query: str,
    client: str | None,
    inactive: bool,
    limit: int,
    json: bool,
) -> None:
    from syncd.store import answers

    searches: dict[Kind, Callable[..., Found[Any]]] = {
        Kind.CLIENT: answers.clients,
        Kind.SITE: answers.sites,
        Kind.USER: answers.users,
    }
    with session.of(context).engine() as engine:
        search = answers.Search(query, _owner(engine.database, client), inactive, limit)
        found = searches[kind](engine.database, search)
    _answer(kind, found, json)


def _answer(kind: Kind, found: Found[Any], json: bool) -> None:
    what, columns = f"{kind}s", _COLUMNS[kind]
    if json:
        as_json(**{what: found.lines, "total": found.total})
        return
    if not found.lines:
        talk(f"no {what} found")
        return
    table(tuple(columns), [[cell(line) for cell in columns.values()] for line in found.lines])
    more(len(found.lines), found.total, "--limit 0 shows all")


# -- values set by hand ----------------------------------------------------------------------------


@clients.command("set")
def set_client(
    context: typer.Context, who: Reference, values: Values, *, actor: Actor = ""
) -> None:
    """Set values by hand; they stay, whatever the sources say. FIELD= empties a field."""
    _set(context, Kind.CLIENT, who, None, values, actor)


@sites.command("set")
def set_site(
    context: typer.Context,
    who: Reference,
    values: Values,
    *,
    client: InClient = None,
    actor: Actor = "",
) -> None:
    """Set values by hand; they stay, whatever the sources say. FIELD= empties a field."""
    _set(context, Kind.SITE, who, client, values, actor)


@users.command("set")
def set_user(
    context: typer.Context,
    who: Reference,
    values: Values,
    *,
    client: InClient = None,
    actor: Actor = "",
) -> None:
    """Set values by hand; they stay, whatever the sources say. FIELD= empties a field."""
    _set(context, Kind.USER, who, client, values, actor)


@clients.command("release")
def release_client(
    context: typer.Context, who: Reference, fields: Fields = None, *, actor: Actor = ""
) -> None:
    """Give values back to the sources."""
    _release(context, Kind.CLIENT, who, None, fields, actor)


@sites.command("release")
def release_site(
    context: typer.Context,
    who: Reference,
    fields: Fields = None,
    *,
    client: InClient = None,
    actor: Actor = "",
) -> None:
    """Give values back to the sources."""
    _release(context, Kind.SITE, who, client, fields, actor)


@users.command("release")
def release_user(
    context: typer.Context,
    who: Reference,
    fields: Fields = None,
    *,
    client: InClient = None,
    actor: Actor = "",
) -> None:
    """Give values back to the sources."""
    _release(context, Kind.USER, who, client, fields, actor)


@clients.command("deactivate")
def deactivate_client(context: typer.Context, who: Reference, *, actor: Actor = "") -> None:
    """Make a client inactive by hand: none of its users can sign in, and none is rewritten."""
    _deactivate(context, Kind.CLIENT, who, None, actor)


@sites.command("deactivate")
def deactivate_site(
    context: typer.Context, who: Reference, *, client: InClient = None, actor: Actor = ""
) -> None:
    """Make a site inactive by hand: none of its users can sign in, and none is rewritten."""
    _deactivate(context, Kind.SITE, who, client, actor)


@users.command("deactivate")
def deactivate_user(
    context: typer.Context, who: Reference, *, client: InClient = None, actor: Actor = ""
) -> None:
    """Make a user inactive by hand; it stays so, whatever the sources say."""
    _deactivate(context, Kind.USER, who, client, actor)


@users.command("add")
def add_user(
    context: typer.Context,
    values: Values,
    *,
    client: Annotated[str, typer.Option(metavar="CLIENT", help="Whose user it is.")],
    site: Annotated[
        str | None, typer.Option(metavar="SITE", show_default="the client's main site")
    ] = None,
    actor: Actor = "",
) -> None:
    """Add a user by hand; no sync ever deactivates one that no source has named."""
    from syncd.sync import editing

    with session.of(context).engine() as engine:
        owner = finding.one(engine.database, Kind.CLIENT, client).id
        home = finding.one(engine.database, Kind.SITE, site, owner).id if site else None
        outcome = editing.add_user(engine, owner, _assigned(values), actor or whoever(), home)
        say_done(engine, outcome)


def _set(
    context: typer.Context,
    kind: Kind,
    who: str,
    client: str | None,
    values: list[str],
    actor: str,
) -> None:
    from syncd.sync import editing

    assigned = _assigned(values)
    with session.of(context).engine() as engine:
        entity = meant(engine.database, kind, who, client)
        say_done(engine, editing.set_values(engine, kind, entity, assigned, actor or whoever()))


def _deactivate(
    context: typer.Context, kind: Kind, who: str, client: str | None, actor: str
) -> None:
    from syncd.store import answers_gone
    from syncd.sync import editing

    with session.of(context).engine() as engine:
        entity = meant(engine.database, kind, who, client)
        inactive = {"active": "no"}
        outcome = editing.set_values(engine, kind, entity, inactive, actor or whoever())
        if kind is not Kind.USER:
            users = answers_gone.active_users(engine.database, kind, entity)
            talk(f"{some(users, 'active user')} of it cannot sign in as long as it is inactive")
        talk(f"to give that back to the sources: syncd {kind}s release {entity} active")
        say_done(engine, outcome)


def _release(
    context: typer.Context,
    kind: Kind,
    who: str,
    client: str | None,
    fields: list[str] | None,
    actor: str,
) -> None:
    from syncd.sync import editing

    with session.of(context).engine() as engine:
        entity = meant(engine.database, kind, who, client)
        say_done(engine, editing.release(engine, kind, entity, fields or [], actor or whoever()))


def meant(database: Database, kind: Kind, who: str, client: str | None) -> UUID:
    """The one that a person named, in the client if that is given."""
    return finding.one(database, kind, who, _owner(database, client)).id


def _owner(database: Database, client: str | None) -> UUID | None:
    return finding.one(database, Kind.CLIENT, client).id if client else None


def _assigned(values: list[str]) -> dict[str, Any]:
    """`title=Boss` as a field and its value."""
    assigned = {}
    for each in values:
        name, equals, value = each.partition("=")
        if not equals or not name.strip():
            raise UsageError(f'"{each}" is not FIELD=VALUE, such as title="Head of IT"')
        assigned[name.strip()] = value
    return assigned


def say_done(engine: Engine, outcome: Outcome) -> None:
    """Show what an edit changed, and end the command with its exit code."""
    from syncd.store import answers_runs

    asked = answers_runs.Asked(run=outcome.run, limit=0)
    for change in answers_runs.changes(engine.database, asked):
        for line in describe.change_lines(change):
            say(line)
    talk(f"run {outcome.run} {outcome.state}")
    raise typer.Exit(exits.of_outcome(outcome))
