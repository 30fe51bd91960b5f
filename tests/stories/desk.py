"""A desk for stories: a scratch configuration, one database, files to drop, what came of it."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from syncd import settings
from syncd.entities import Kind
from syncd.store import tables as t
from syncd.store.database import Database
from syncd.store.entities import load_entities
from syncd.store.undone import Wanted
from syncd.sync import connections, deciding, editing, flow, merging, undo_parts, undoing
from syncd.sync.engine import Engine
from syncd.sync.flow import Outcome

Row = Mapping[str, object]

CSV = {"combined": "people.csv", "contents": "full", "key": "Staff no"}
HEADINGS = ("Staff no", "Name", "E-mail", "Client")

ENTITIES = (t.client, t.site, t.user, t.identity, t.license_pool, t.subscription)
LASTING = (*ENTITIES, t.link, t.item, t.license_ledger, t.cursor, t.quarantine)
"""Everything that is not the record of what was asked, planned and decided."""


def person(name: str, client: str = "Acme", **more: object) -> dict[str, object]:
    """A row about Ada: number `ada`, ada@acme.example. `more` by heading, with `_` for a blank."""
    mail = f"{name.lower()}@{client.lower().replace(' ', '')}.example"
    row: dict[str, object] = dict(zip(HEADINGS, (name.lower(), name, mail, client), strict=True))
    row |= {heading.replace("_", " "): cell for heading, cell in more.items()}
    return row


def people(count: int, client: str = "Acme", first: int = 0) -> list[dict[str, object]]:
    """So many rows about `P0`, `P1`, …"""
    return [person(f"P{number}", client) for number in range(first, first + count)]


class User(NamedTuple):
    """A user as the desk shows it."""

    id: UUID
    name: str
    client: str
    site: str
    active: bool
    values: dict[str, Any]


class Desk:
    """One installation of syncd. `desk.sync()` is what `syncd sync people` does."""

    def __init__(self, folder: Path, url: str, config: Mapping[str, Any] | None = None) -> None:
        self.folder = folder
        self.url = url
        (folder / "connections").mkdir(parents=True)
        (folder / "mappings").mkdir()
        self.precedence = ""
        self.connect("people", "csv", CSV if config is None else config)
        self.engine = self.open()

    def open(self) -> Engine:
        """The engine as another process would open it."""
        main = f"[database]\nurl = {self.url!r}\n{self.precedence}"
        (self.folder / "syncd.toml").write_text(main, encoding="utf-8")
        return Engine.open(settings.load(self.folder))

    @property
    def database(self) -> Database:
        return self.engine.database

    def close(self) -> None:
        self.database.close()

    # -- configuring -----------------------------------------------------------------------------

    def connect(self, name: str, connector: str, config: Mapping[str, Any]) -> None:
        """Write a connection's file; its mapping is empty until `mapping` fills it."""
        lines = [f"{key} = {as_toml(value)}" for key, value in config.items()]
        text = f'connector = "{connector}"\nmapping = "{name}"\n[config]\n' + "\n".join(lines)
        (self.folder / "connections" / f"{name}.toml").write_text(text, encoding="utf-8")
        path = self.folder / "mappings" / f"{name}.toml"
        if not path.exists():
            path.write_text(MAPPING, encoding="utf-8")

    def configure(self, **config: Any) -> None:
        """Change settings of the connection `people`, which reads files."""
        self.connect("people", "csv", {**CSV, **config})
        self.reload()

    def mapping(self, text: str, name: str = "people") -> None:
        """Edit a mapping: sections here take the place of those in MAPPING."""
        here = {line for line in text.splitlines() if line.startswith("[")}
        kept = [part for part in MAPPING.split("\n\n") if part.splitlines()[0] not in here]
        whole = "\n\n".join([*kept, text])
        (self.folder / "mappings" / f"{name}.toml").write_text(whole, encoding="utf-8")
        self.reload()

    def reload(self) -> None:
        """Read the configuration again, as the next command would."""
        offset = self.database.clock_offset
        self.close()
        self.engine = self.open()
        self.database.clock_offset = offset

    # -- acting ----------------------------------------------------------------------------------

    def write(self, rows: Iterable[Row], name: str = "people.csv") -> None:
        """Drop a sheet with these rows; its headings are all that any of them names."""
        listed = list(rows)
        headings = list(dict.fromkeys([*HEADINGS, *(key for row in listed for key in row)]))
        with (self.folder / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, headings, restval="")
            writer.writeheader()
            writer.writerows(listed)

    def sync(self, rows: Iterable[Row] | None = None, **options: Any) -> Outcome:
        """Sync, after dropping `rows` if they are given."""
        if rows is not None:
            self.write(rows)
        return flow.sync(self.engine, "people", actor="tester", **options)

    def sync_each(self, *names: str) -> list[Outcome]:
        """Sync these connections, one after the other."""
        return [flow.sync(self.engine, name, actor="tester") for name in names]

    def prefer(self, **orders: list[str]) -> None:
        """Write [precedence]; `user_phone` is the field "user.phone"."""
        lines = [
            f'"{key.replace("_", ".", 1)}" = {as_toml(names)}' for key, names in orders.items()
        ]
        self.precedence = "[precedence]\n" + "\n".join(lines) + "\n"
        self.reload()

    def owners(self, name: str) -> dict[str, str | None]:
        """Whose each value of a user is."""
        one = self.user(name).id
        with self.database.read() as conn:
            entity = load_entities(self.database, conn, Kind.USER, [one])[one]
        return {field: entity.owner(field) for field in entity.values}

    def release(self, name: str, *fields: str) -> Outcome:
        """Give fields of a user back to the sources."""
        return editing.release(self.engine, Kind.USER, self.user(name).id, [*fields], "boss")

    def plan(self, rows: Iterable[Row] | None = None) -> Outcome:
        return self.sync(rows, mode="plan")

    def approve(self, hold: int, actor: str = "boss") -> Outcome:
        return deciding.approve(self.engine, hold, actor)

    def reject(self, hold: int, actor: str = "boss") -> None:
        deciding.reject(self.engine, hold, actor)

    def undo(
        self,
        run: int,
        *,
        users: Iterable[str] = (),
        clients: Iterable[str] = (),
        fields: Iterable[str] = (),
        keep: bool = False,
    ) -> Outcome:
        """Take a run back, or what it did to users, clients and fields of these names."""
        wanted = Wanted(
            frozenset(self.user(name).id for name in users),
            frozenset(map(self.client, clients)),
            undo_parts.fields_named(fields),
            keep,
        )
        return undoing.undo(self.engine, run, "boss", wanted)

    def resume(self, name: str = "people") -> None:
        connections.resume(self.engine, name, "boss")

    def set(self, name: str, **values: object) -> Outcome:
        """Edit a user by hand."""
        user = self.user(name)
        return editing.set_values(self.engine, Kind.USER, user.id, values, "boss")

    def add_user(self, client: str, **values: object) -> Outcome:
        """Create a user by hand."""
        return editing.add_user(self.engine, self.client(client), values, "boss")

    def merge(
        self, kept: UUID, gone: UUID, kind: Kind = Kind.USER, *, look: bool = False
    ) -> Outcome:
        """Make one of two: `gone` goes into `kept`."""
        wanted = merging.Merge(kind, kept, gone, "boss", "one and the same")
        return merging.merge(self.engine, wanted, look=look)

    def wait(self, **time: float) -> None:
        """Let time pass on the database's clock."""
        self.database.clock_offset += timedelta(**time)

    # -- looking ---------------------------------------------------------------------------------

    def users(self) -> list[User]:
        """All users that are not retired, by name."""
        names = t.user.c.keys()
        query = (
            sa.select(t.user, t.client.c.name.label("client_name"), t.site.c.name.label("at"))
            .join(t.client, t.client.c.id == t.user.c.client_id)
            .join(t.site, t.site.c.id == t.user.c.site_id)
            .where(sa.not_(t.user.c.retired))
        )
        with self.database.read() as conn:
            rows = conn.execute(query).mappings().all()
        found = [
            User(
                row["id"],
                row["name"],
                row["client_name"],
                row["at"],
                row["active"],
                {name: row[name] for name in names if row[name] is not None},
            )
            for row in rows
        ]
        return sorted(found, key=lambda user: (user.name, user.client))

    def user(self, name: str) -> User:
        """The only user of that name."""
        found = [user for user in self.users() if user.name == name]
        assert len(found) == 1, f"{len(found)} users are called {name}"
        return found[0]

    def names(self, *, active: bool | None = None) -> list[str]:
        return [one.name for one in self.users() if active is None or one.active is active]

    def client(self, name: str) -> UUID:
        with self.database.read() as conn:
            query = sa.select(t.client.c.id).where(t.client.c.name == name)
            found: UUID = conn.execute(query).scalar_one()
            return found

    def sites(self) -> list[tuple[str, str]]:
        """(client, site) of all sites that are not retired."""
        query = (
            sa.select(t.client.c.name, t.site.c.name)
            .join(t.client, t.client.c.id == t.site.c.client_id)
            .where(sa.not_(t.site.c.retired))
        )
        with self.database.read() as conn:
            return sorted((row[0], row[1]) for row in conn.execute(query))

    def quarantine(self) -> dict[str, str]:
        """Key to reason code."""
        with self.database.read() as conn:
            query = sa.select(t.quarantine.c.key, t.quarantine.c.code)
            return {row[0]: row[1] for row in conn.execute(query)}

    def links(self) -> dict[str, str]:
        """The state of each person's link, by key."""
        with self.database.read() as conn:
            c = t.link.c
            query = sa.select(c.key, c.state).where(c.stream == "people")
            return {row[0]: row[1] for row in conn.execute(query)}

    def changes(self, run: int) -> list[tuple[str, str, str]]:
        """(action, key, reason) of a run's changes of users."""
        c = t.change.c
        query = (
            sa.select(c.action, c.key, c.reason)
            .join(t.step, t.step.c.id == c.step_id)
            .where(t.step.c.run_id == run, c.kind == Kind.USER)
            .order_by(c.seq)
        )
        with self.database.read() as conn:
            return [(row[0], row[1], row[2]) for row in conn.execute(query)]

    def holds(self, *states: str) -> list[Any]:
        return self.database.query(
            lambda conn: self.engine.runs.holds(conn, *(states or ("waiting",)))
        )

    def connection_state(self) -> tuple[str, str | None]:
        """(state, reason) of the connection."""
        row = self.engine.runs.ensure_connection("people", "")
        return row.state, row.reason

    def step(self, run: int) -> Any:
        """The only step of a run."""
        return self.database.query(lambda conn: self.engine.runs.steps(conn, run))[0]

    def rows(self, *tables: sa.Table) -> dict[str, list[tuple[object, ...]]]:
        """Every row of the tables; without any, of all that is not about runs."""
        with self.database.read() as conn:
            return {
                table.name: sorted((tuple(row) for row in conn.execute(sa.select(table))), key=repr)
                for table in (tables or LASTING)
            }

    def living(self) -> dict[str, list[tuple[object, ...]]]:
        """The rows of all entities that are not retired, and of identities."""
        found = self.rows(*ENTITIES)
        for table in (t.client, t.site, t.user):
            at = list(table.c.keys()).index("retired")
            found[table.name] = [row for row in found[table.name] if not row[at]]
        return found

    def picture(self) -> list[tuple[object, ...]]:
        """The users without surrogate ids and times: equal for equal desks, on every database."""
        skip = {"id", "client_id", "site_id"}
        return [
            (user.name, user.client, user.site, user.active,
             sorted((k, repr(v)) for k, v in user.values.items() if k not in skip))
            for user in self.users()
        ]  # fmt: skip


MAPPING = """\
[client]
match = ["ref", "name"]

[user]
match = ["identity", "employee_id", "email", "login"]

[gone]
absent = { action = "deactivate", after = [] }
"""
"""The mapping of stories: as shipped for spreadsheets, but who is absent leaves at once."""


def as_toml(value: object) -> str:
    """A value as it stands in a settings file."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{key}" = {as_toml(item)}' for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    return str(value) if isinstance(value, int | float) else f'"{value}"'
