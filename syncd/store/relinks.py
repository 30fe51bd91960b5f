"""Other keys for the records of one partition: what was called by the old key is called by the new
one, the past included, so that what was decided can still be explained and taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import Action, Change, LinkState
from syncd.entities import Kind
from syncd.records import Rekeying
from syncd.store import bulk
from syncd.store import tables as t
from syncd.store.database import Database
from syncd.store.types import Id

Digests = Callable[[Sequence[bytes]], Sequence[bytes]]

_ROWS = 5_000
_MOVING = "\x01"
"""Before a key that is on its way: two records may swap theirs. No key of an item holds it."""

_LIVING = (LinkState.ALIVE, LinkState.MISSED, LinkState.LEAVING, LinkState.SKIPPED)

_scratch = sa.MetaData()
_relinked = sa.Table(
    "relinked",
    _scratch,
    sa.Column("old", sa.Text, primary_key=True),
    sa.Column("new", sa.Text, index=True),  # null: there is none
    sa.Column("living", sa.Boolean, nullable=False),  # the source still has it
    sa.Column("entity_id", Id),
    prefixes=["TEMPORARY"],
)
_M = _relinked.c


class Obstacles(NamedTuple):
    """What keeps records from getting their new keys: how many, and some of them."""

    missing: int
    """Records whose stored item has no new key."""
    some_missing: list[str]
    repeated: int
    """New keys that several records would have."""
    some_repeated: list[list[str]]
    taken: list[str]
    """New keys that records which keep theirs have."""


@dataclass(slots=True)
class Relinks:
    """Gives the records of one stream of a partition other keys, all within one transaction."""

    database: Database
    conn: Connection
    partition: int
    stream: str
    rekeying: Rekeying

    def __enter__(self) -> Relinks:
        _relinked.create(self.conn)
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:  # else the transaction is over, and the table with it
            _relinked.drop(self.conn)

    # -- finding the new keys ----------------------------------------------------------------------

    def find(self) -> None:
        """Work out the new key of every record that is known by some key."""
        c, i = t.link.c, t.item.c
        same = sa.and_(*(c[name] == i[name] for name in ("partition_id", "stream", "key")))
        links = sa.select(c.key, i.raw, c.state.in_(_LIVING), c.entity_id)
        self._add(links.select_from(t.link.join(t.item, same, isouter=True)), c)
        for table in (t.quarantine, t.decision):
            raw = table.c.raw if "raw" in table.c else sa.null()
            others = sa.select(table.c.key, raw, sa.false(), sa.null())
            known = sa.select(_M.old)
            self._add(others.where(table.c.key.not_in(known)), table.c)
        self._prefer_the_living()

    def _add(self, query: sa.Select[Any], c: Any) -> None:
        names, key_of = tuple(_M.keys()), self.rekeying.key_of
        for page in self._pages(query, c, ("key",)):
            made = [
                (row[0], (key_of(row[1]) or None) if row[1] else None, bool(row[2]), row[3])
                for row in page
            ]
            bulk.insert(self.database, self.conn, _relinked, names, made)

    def _pages(
        self, query: sa.Select[Any], c: Any, order: tuple[str, ...]
    ) -> Iterator[Sequence[Any]]:
        """The rows of a query about this stream, a page at a time; what orders them comes first."""
        query = query.where(c.partition_id == self.partition, c.stream == self.stream)
        by = [c[name] for name in order]
        where: sa.ColumnElement[bool] = sa.true()
        while rows := self.conn.execute(query.where(where).order_by(*by).limit(_ROWS)).all():
            yield rows
            where = sa.tuple_(*by) > sa.tuple_(*rows[-1][: len(by)])

    def _prefer_the_living(self) -> None:
        """A record that is gone keeps its key where one that is there gets the same."""
        wanted = sa.select(_M.new).where(_M.new.is_not(None))
        many = wanted.group_by(_M.new).having(sa.func.count() > 1).scalar_subquery()
        of_gone = sa.update(_relinked).where(sa.not_(_M.living), _M.new.in_(many))
        self.conn.execute(of_gone.values(new=None))

    def obstacles(self) -> Obstacles:
        """What is in the way."""
        missing = sa.and_(_M.living, _M.new.is_(None))
        repeated = sa.select(_M.new).where(_M.new.is_not(None)).group_by(_M.new)
        repeated = repeated.having(sa.func.count() > 1).order_by(_M.new)
        other = _relinked.alias("other")
        taken = sa.select(_M.new).where(_M.new == other.c.old, other.c.new.is_(None))
        names = sa.select(_M.old).where(missing).order_by(_M.old).limit(5)
        return Obstacles(
            self._count(missing),
            list(self.conn.execute(names).scalars()),
            self._number(sa.select(sa.func.count()).select_from(repeated.subquery())),
            [self._old(new) for new in self.conn.execute(repeated.limit(3)).scalars()],
            list(self.conn.execute(taken.order_by(_M.new).limit(5)).scalars()),
        )

    def _old(self, new: str) -> list[str]:
        query = sa.select(_M.old).where(_M.new == new).order_by(_M.old).limit(5)
        return list(self.conn.execute(query).scalars())

    def count(self) -> int:
        """How many records get another key."""
        return self._count(_M.new != _M.old)

    def examples(self, most: int) -> list[tuple[str, str]]:
        """Some of them: the old key and the new one."""
        query = sa.select(_M.old, _M.new).where(_M.new != _M.old, _M.living)
        rows = self.conn.execute(query.order_by(_M.old).limit(most))
        return [(row[0], row[1]) for row in rows]

    def _count(self, where: sa.ColumnElement[bool]) -> int:
        return self._number(sa.select(sa.func.count()).select_from(_relinked).where(where))

    def _number(self, query: sa.Select[Any]) -> int:
        return int(self.conn.execute(query).scalar_one())

    # -- giving them -------------------------------------------------------------------------------

    def give(self, step: int, digests: Digests, reason: str) -> int:
        """Give the new keys, and write into the step which they were; how many changes these are.
        `digests`: of items, by which what was settled is known.
        """
        for table in (t.link, t.item, t.item_history, t.quarantine, t.decision):
            self._rename(table)
        self._rename_changes()
        self._settle_again(digests)
        for table, order in _WITH_ITEMS:
            self._rewrite(table, order)
        return self._tell(step, reason)

    def _moved(self) -> sa.Select[Any]:
        return sa.select(_M.old).where(_M.new != _M.old)

    def _new_of(self, key: sa.ColumnElement[str]) -> sa.ScalarSelect[Any]:
        return sa.select(_M.new).where(_M.old == key).scalar_subquery()

    def _rename(self, table: sa.Table) -> None:
        c = table.c
        here = sa.and_(c.partition_id == self.partition, c.stream == self.stream)
        moving = sa.literal(_MOVING).concat(self._new_of(c.key))
        self.conn.execute(sa.update(table).where(here, c.key.in_(self._moved())).values(key=moving))
        arrived = sa.func.substr(c.key, 1, 1) == _MOVING
        self.conn.execute(
            sa.update(table).where(here, arrived).values(key=sa.func.substr(c.key, 2))
        )

    def _rename_changes(self) -> None:
        c, s = t.change.c, t.step.c
        steps = sa.select(s.id).where(s.partition_id == self.partition)
        here = sa.and_(c.step_id.in_(steps), c.stream == self.stream, c.key.in_(self._moved()))
        self.conn.execute(sa.update(t.change).where(here).values(key=self._new_of(c.key)))

    def _settle_again(self, digests: Digests) -> None:
        """What was settled stays so: its item will come with the new key, and say the same."""
        c, i = t.link.c, t.item.c
        same = sa.and_(*(c[name] == i[name] for name in ("partition_id", "stream", "key")))
        query = sa.select(c.key, i.raw, c.digest).join(t.item, same).where(c.digest.is_not(None))
        here = sa.and_(c.partition_id == self.partition, c.stream == self.stream)
        one = sa.update(t.link).where(here, c.key == sa.bindparam("old"))
        one = one.values(digest=sa.bindparam("settled"))
        for page in self._pages(query, c, ("key",)):
            was = digests([row[1] for row in page])
            becomes = digests([self.rekeying.under(row[1], row[0]) for row in page])
            settled = [
                {"old": row[0], "settled": new}
                for row, old, new in zip(page, was, becomes, strict=True)
                if row[2] == old != new
            ]
            if settled:
                self.conn.execute(one, settled)

    def _rewrite(self, table: sa.Table, order: tuple[str, ...]) -> None:
        """Have stored items say the keys that they go by."""
        c = table.c
        query = sa.select(*(c[name] for name in order), c.raw).where(c.raw.is_not(None))
        which = [c[name] == sa.bindparam(f"of_{name}") for name in order]
        one = sa.update(table).where(
            c.partition_id == self.partition, c.stream == self.stream, *which
        )
        for page in self._pages(query, c, order):
            news = [
                {**{f"of_{name}": row[at] for at, name in enumerate(order)}, "made": made}
                for row in page
                if (made := self.rekeying.under(row[-1], row[len(order) - 1])) != row[-1]
            ]
            if news:
                self.conn.execute(one.values(raw=sa.bindparam("made")), news)

    def _tell(self, step: int, reason: str) -> int:
        """A change for each record of a user, which changes no value."""
        u, told, after = t.user.c, 0, ""
        query = sa.select(_M.old, _M.new, _M.entity_id, u.client_id)
        query = query.join(t.user, u.id == _M.entity_id)
        query = query.where(_M.new != _M.old).order_by(_M.old).limit(_ROWS)
        while rows := self.conn.execute(query.where(_M.old > after)).all():
            changes = [
                Change(
                    Kind.USER, Action.LINK, entity, client, self.stream, new,
                    f"{reason}; it was {old}", {}, seq=told + at,
                )
                for at, (old, new, entity, client) in enumerate(rows)
            ]  # fmt: skip
            bulk.insert_changes(self.database, self.conn, step, changes)
            told, after = told + len(rows), rows[-1][0]
        return told


_WITH_ITEMS = (
    (t.item, ("key",)),
    (t.quarantine, ("key",)),
    (t.item_history, ("step_id", "key")),
)
"""Tables that hold items, and what orders those of one stream; the key comes last."""
