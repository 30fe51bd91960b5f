"""Engines on fresh small databases, as many as a property needs, and how hard to try."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, settings

from syncd.connectors import base
from syncd.store.database import Database
from syncd.store.tables import metadata
from syncd.sync import applying, reading
from tests.conftest import _database
from tests.properties.directory import Memory
from tests.properties.worlds import Worlds, open_engine

EXAMPLES = int(os.environ.get("SYNCD_TEST_EXAMPLES", "0"))

settings.register_profile(
    "sameness",
    derandomize=not EXAMPLES,
    max_examples=EXAMPLES or 30,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(autouse=True, scope="module")
def _memory_connector() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "find", lambda _name: Memory)
        patch.setattr(applying, "BATCH", 3)  # changes in a transaction: several for each plan
        patch.setattr(reading, "KNOWN_AT_ONCE", 0)  # set by `serve`; put back at the end
        yield


@pytest.fixture(scope="module")
def worlds(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    folder = tmp_path_factory.mktemp("worlds")
    made = Worlds(folder, sqlite_template)
    yield made
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def postgres(postgres_server: str, postgres_template: str) -> Iterator[object]:
    """Gives an empty PostgreSQL database, the same one each time."""
    with _database(postgres_server, postgres_template) as url:
        database = Database(url)
        tables = ", ".join(f'"{table.name}"' for table in metadata.sorted_tables)

        def emptied() -> object:
            with database.engine.begin() as conn:
                conn.execute(sa.text(f"truncate {tables} restart identity cascade"))
            return open_engine(database)

        yield emptied
        database.close()
