"""Opening the database: engine, transactions that survive faults, the database's clock."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError

from syncd.errors import SchemaError, StoreRefused, StoreUnavailable
from syncd.store.types import Id

T = TypeVar("T")
Transaction = Connection
"""What work inside a transaction is given; layers above pass it on and never look inside."""

DRIVER_ERRORS = (DBAPIError, sqlite3.Error, psycopg.Error)
ATTEMPTS = 5
BUSY_SECONDS = 30
IDLE_SECONDS = 75.0
"""How long a transaction may be silent: a little longer than a lease lasts by default."""
THREADS = 4
_RETRYABLE_STATES = {"25P03", "40001", "40P01", "55P03", "57P01", "57P02", "57P03"}


class Database:
    """One database, SQLite or PostgreSQL. Cheap to share between threads.

    PostgreSQL ends a transaction in which nothing happens for `idle_seconds`: a process that was
    frozen inside one would keep others waiting for its locks until it wakes.
    """

    def __init__(
        self, url: str, *, idle_seconds: float = IDLE_SECONDS, threads: int = THREADS
    ) -> None:
        """`threads`: how many will work with it at a time, each of which keeps its connection."""
        self.engine = _engine(url, idle_seconds, threads)
        self.dialect = self.engine.dialect.name
        self.mark = "%s" if self.dialect == "postgresql" else "?"
        """Stands for a bound value in SQL that goes to the driver as it is."""
        self.clock_offset = timedelta(0)
        """Added to the database's clock; tests travel with it."""

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for reading: one snapshot on SQLite, read committed on PostgreSQL.

        Raises StoreUnavailable if the database goes away meanwhile; `query` tries again instead.
        """
        try:
            with self._reading() as conn:
                yield conn
        except DRIVER_ERRORS as error:
            raise (_unavailable if _retryable(error) else _refused)(error) from None

    @contextmanager
    def ask(self) -> Iterator[Connection]:
        """A connection for small questions: as `read`, but without a transaction on PostgreSQL,
        whose every statement sees what is committed by then anyway: a third of the round trips.
        """
        try:
            with self._reading(transaction=self.dialect == "sqlite") as conn:
                yield conn
        except DRIVER_ERRORS as error:
            raise (_unavailable if _retryable(error) else _refused)(error) from None

    @contextmanager
    def _reading(self, transaction: bool = True) -> Iterator[Connection]:
        with self.engine.connect() as conn:
            conn.info["writes"] = False
            if transaction:
                with conn.begin():
                    yield conn
            else:
                conn.execution_options(isolation_level="AUTOCOMMIT")
                yield conn

    def query(self, work: Callable[[Connection], T]) -> T:
        """Run a pure read, again if the database went away meanwhile."""

        def attempt() -> T:
            with self._reading() as conn:
                return work(conn)

        return _persist(attempt)

    def lookup(self, work: Callable[[Connection], T]) -> T:
        """Run a small pure read as with `ask`, again if the database went away meanwhile."""

        def attempt() -> T:
            with self._reading(transaction=self.dialect == "sqlite") as conn:
                return work(conn)

        return _persist(attempt)

    def transact(self, work: Callable[[Connection], T], *, durable: bool = True) -> T:
        """Run `work` in one writing transaction, all of it again after a deadlock, a serialization
        failure, a lock or a lost connection: at most five times, with jitter. `work` must have no
        effect outside the database. Not `durable`: it may be lost with the server's power, unless a
        later transaction was not; nobody waits for a disk.
        """

        def attempt() -> T:
            with self.engine.connect() as conn:
                conn.info["writes"] = True
                with conn.begin():
                    if not durable and self.dialect == "postgresql":
                        conn.exec_driver_sql("set local synchronous_commit = off")
                    return work(conn)

        return _persist(attempt)

    def now(self, conn: Connection) -> datetime:
        """The moment on the database's clock: the only clock that leases and rules go by."""
        if self.dialect == "postgresql":
            moment: datetime = conn.exec_driver_sql("select clock_timestamp()").scalar_one()
            return moment.astimezone(UTC) + self.clock_offset
        seconds = conn.exec_driver_sql("select (julianday('now') - 2440587.5) * 86400.0")
        return datetime.fromtimestamp(float(seconds.scalar_one()), UTC) + self.clock_offset

    def later(self, conn: Connection, seconds: float) -> Any:
        """The moment so many seconds from now, as a value for a column: on PostgreSQL an expression
        that needs no question of its own.
        """
        if self.dialect == "postgresql":
            return sa.func.clock_timestamp() + (self.clock_offset + timedelta(seconds=seconds))
        return self.now(conn) + timedelta(seconds=seconds)

    def among(self, column: sa.ColumnElement[Any], values: Sequence[Any]) -> sa.ColumnElement[bool]:
        """`column in values` as one bound array on PostgreSQL and as a list on SQLite."""
        if self.dialect == "postgresql":
            array = sa.bindparam(None, list(values), type_=sa.ARRAY(_bare(column.type)))
            return column == sa.func.any(array)
        return column.in_(list(values))


def _bare(kind: sa.types.TypeEngine[Any]) -> sa.types.TypeEngine[Any]:
    return sa.Uuid(as_uuid=True) if isinstance(kind, Id) else kind


def _persist(attempt: Callable[[], T]) -> T:
    for left in reversed(range(ATTEMPTS)):
        try:
            return attempt()
        except DRIVER_ERRORS as error:
            if not _retryable(error):
                raise _refused(error) from None
            if not left:
                raise _unavailable(error) from None
            jitter = random.uniform(0.05, 0.3)  # noqa: S311  # spreads retries, hides nothing
            time.sleep(jitter * (ATTEMPTS - left))
    raise AssertionError("unreachable")


def _refused(error: Exception) -> StoreRefused:
    """The error without the driver's text, which quotes the row."""
    cause = _cause(error)
    diagnosis = getattr(cause, "diag", None)
    detail = getattr(diagnosis, "constraint_name", None) or getattr(cause, "sqlstate", None)
    if detail is None:  # SQLite names columns, not values
        detail = str(cause)
    return StoreRefused(f"the database refused a write: {type(cause).__name__}, {detail}")


def _cause(error: Exception) -> BaseException:
    """The driver's own error: bulk writes go past SQLAlchemy, which wraps all others."""
    wrapped = getattr(error, "orig", None)
    return wrapped if isinstance(wrapped, BaseException) else error


def _unavailable(error: Exception) -> StoreUnavailable:
    return StoreUnavailable(
        "the database stayed locked or unreachable; nothing of this page or batch was written, and "
        f"a later run goes on from here ({type(_cause(error)).__name__})"
    )


def _retryable(error: Exception) -> bool:
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    cause = _cause(error)
    state = getattr(cause, "sqlstate", None)
    if state is not None:
        return state in _RETRYABLE_STATES or state.startswith("08")
    text = str(cause)
    return isinstance(cause, (sqlite3.OperationalError, psycopg.OperationalError)) and (
        "locked" in text or "connection" in text.lower() or "busy" in text
    )


def _encode(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _engine(url: str, idle_seconds: float, threads: int) -> Engine:
    made = sa.make_url(url)
    options: dict[str, Any] = {"json_serializer": _encode, "json_deserializer": msgspec.json.decode}
    if made.drivername in ("postgresql", "postgres"):
        made = made.set(drivername="postgresql+psycopg")
    if made.get_backend_name() == "postgresql":
        engine = sa.create_engine(made, hide_parameters=True, pool_size=2 * threads + 1, **options)
        sa.event.listen(engine, "connect", partial(_prepare_postgresql, idle_seconds))
        return engine
    if made.get_backend_name() != "sqlite":
        raise SchemaError(
            f"database.url begins with {made.drivername}: syncd keeps its records in "
            "SQLite (sqlite:///syncd.db) or PostgreSQL (postgresql+psycopg://…)"
        )
    if made.database and made.database != ":memory:":
        Path(made.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(
        made, hide_parameters=True, connect_args={"timeout": BUSY_SECONDS}, **options
    )
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_postgresql(idle_seconds: float, raw: Any, _record: Any) -> None:
    raw.autocommit = True  # a setting made inside a transaction is gone when that is rolled back
    raw.execute(f"set idle_in_transaction_session_timeout = {round(idle_seconds * 1000)}")
    raw.autocommit = False


def _prepare_sqlite(raw: Any, _record: Any) -> None:
    raw.isolation_level = None  # we begin transactions ourselves: see _begin_sqlite
    for pragma in (
        "page_size = 8192",  # of a new database; must come first
        "journal_mode = wal",
        "synchronous = normal",
        "foreign_keys = on",
        "cache_size = -16384",  # kB for each connection, and as much again for what it sorts
        "wal_autocheckpoint = 4000",  # pages: seldom enough for bulk loads, 32 MB of log at most
        "temp_store = file",  # sorting what millions of rows say must not take memory for each
    ):
        raw.execute(f"pragma {pragma}")


def _begin_sqlite(conn: Connection) -> None:
    # A writer that begins as a reader can lose its work to another writer: take the lock at once.
    conn.exec_driver_sql("begin immediate" if conn.info.get("writes", True) else "begin")
