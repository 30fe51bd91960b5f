"""The schema's version: create, upgrade, check. An older program refuses a newer schema."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from syncd.errors import SchemaError

if TYPE_CHECKING:
    from alembic.config import Config

    from syncd.store.database import Database

HEAD = "0007"
"""The newest migration; a test holds it against the migrations folder."""


def upgrade(database: Database) -> None:
    """Bring the schema to HEAD. Safe to run again after an interruption."""
    from alembic import command

    current = version(database)
    if current == HEAD:
        return
    _refuse_newer(current)
    with database.engine.connect() as conn:
        conn.info["writes"] = True
        with conn.begin():
            if database.dialect == "postgresql":
                conn.exec_driver_sql("select pg_advisory_xact_lock(7316121)")
            config = _config()
            config.attributes["connection"] = conn
            command.upgrade(config, "head")


def check(database: Database) -> None:
    """Raise SchemaError unless the schema is exactly the one that this program understands."""
    current = version(database)
    if current == HEAD:
        return
    _refuse_newer(current)
    state = "has no tables yet" if current is None else f"is at version {current}"
    raise SchemaError(f"the database {state}; this program needs {HEAD}: run `syncd db upgrade`")


def version(database: Database) -> str | None:
    """The schema's version, or None for an empty database."""
    with database.read() as conn:
        if not sa.inspect(conn).has_table("alembic_version"):
            return None
        return conn.exec_driver_sql("select version_num from alembic_version").scalar()


def _refuse_newer(current: str | None) -> None:
    if current is not None and current > HEAD:
        raise SchemaError(
            f"the database is at version {current}, newer than this program's {HEAD}: "
            "upgrade syncd; nothing was touched"
        )


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
