"""What machines, databases and other processes do to a run, and that it comes out right."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from syncd.changes import Decisions
from syncd.errors import Busy, Interrupted, LeaseLost, StoreUnavailable
from syncd.mapping.planner import Planner
from syncd.store import bulk, statistics
from syncd.store import database as database_module
from syncd.store import tables as t
from syncd.store.database import Database
from syncd.store.target import apply
from syncd.sync import applying, flow, walking
from tests.stories.desk import Desk, people, person
from tests.stories.source import Source, crowd, raw, who


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module.time, "sleep", lambda _seconds: None)


def at(monkeypatch: pytest.MonkeyPatch, place: str, act: Callable[[], None]) -> None:
    """Do something each time that apply passes the failpoint."""

    def reach(name: str) -> None:
        if name == place:
            act()

    monkeypatch.setattr(apply, "reach", reach)


# -- leases ----------------------------------------------------------------------------------------


def test_a_worker_that_lost_its_lease_writes_nothing_more(desk: Desk, source: Source) -> None:
    """D05: another one took the partition over while this one was frozen."""
    source.people = crowd(2)
    desk.sync()
    before = desk.rows()

    def steal() -> None:
        with desk.database.engine.begin() as conn:
            row = {"fence": t.partition.c.fence + 1, "lease_owner": "elsewhere:1:x"}
            conn.execute(sa.update(t.partition).values(**row))

    source.people, source.page_size, source.between = crowd(6), 2, steal
    with pytest.raises(LeaseLost, match="wrote nothing more"):
        desk.sync()

    assert desk.rows() == before
    drafted = desk.rows(t.draft_page, t.draft_seen)
    with desk.database.read() as conn:
        assert conn.execute(sa.select(t.partition.c.lease_owner)).scalar() == "elsewhere:1:x"

    source.between = None
    with pytest.raises(Busy, match="elsewhere"):
        desk.sync()
    assert desk.rows(t.draft_page, t.draft_seen) == drafted

    desk.wait(minutes=2)  # the thief's lease ends
    assert desk.sync().state == "succeeded"
    assert len(desk.users()) == 6


def test_a_lease_lost_while_applying_stops_it_too(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D05"""
    from syncd.sync import applying

    def steal(name: str) -> None:
        if name == "apply.started":
            with desk.database.engine.begin() as conn:
                conn.execute(sa.update(t.partition).values(fence=t.partition.c.fence + 1))

    monkeypatch.setattr(applying, "reach", steal)
    with pytest.raises(LeaseLost):
        desk.sync(people(2))

    assert desk.users() == []
    monkeypatch.setattr(applying, "reach", lambda _name: None)
    desk.wait(minutes=2)
    desk.sync()
    assert len(desk.users()) == 2


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_of_two_processes_on_one_connection_one_works_and_one_is_told(desk: Desk) -> None:
    """D18, and what exit code 75 means."""
    told = []
    script = (
        "import sys; from pathlib import Path; from syncd import settings; "
        "from syncd.sync import flow; from syncd.sync.engine import Engine; "
        "from syncd.errors import Busy\n"
        "engine = Engine.open(settings.load(Path(sys.argv[1])))\n"
        "try: print(flow.sync(engine, 'people').state)\n"
        "except Busy as busy: print('busy:', busy)"
    )

    def another(_progress: Any) -> None:
        if not told:
            command = [sys.executable, "-c", script, str(desk.folder)]
            told.append(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    desk.engine.report = another
    outcome = desk.sync(people(3))

    assert told[0].startswith("busy: another process is syncing this connection")
    assert outcome.state == "succeeded"
    assert len(desk.users()) == 3


def test_a_second_sync_in_the_same_process_is_told_too(desk: Desk, source: Source) -> None:
    source.people, source.page_size = crowd(4), 2
    told = []

    def another() -> None:
        with pytest.raises(Busy) as refused:
            flow.sync(desk.engine, "people")
        told.append(str(refused.value))

    source.between = another
    assert desk.sync().state == "succeeded"
    assert told


# -- databases -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_a_database_that_goes_away_in_a_transaction_is_asked_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D16"""
    ends = 2

    def end_all() -> None:
        nonlocal ends
        if ends:
            ends -= 1
            url = desk.url.replace("+psycopg", "")
            with psycopg.connect(url, autocommit=True) as other:
                other.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where datname = current_database() and pid <> pg_backend_pid()"
                )

    at(monkeypatch, "apply.batch.entities", end_all)
    outcome = desk.sync(people(5))

    assert outcome.state == "succeeded"
    assert ends == 0
    assert len(desk.users()) == 5


def _clash(dialect: str) -> OperationalError:
    import sqlite3

    cause: Exception = psycopg.errors.DeadlockDetected("deadlock detected")
    if dialect == "sqlite":
        cause = sqlite3.OperationalError("database is locked")
    return OperationalError("update", {}, cause)


@pytest.mark.parametrize(("clashes", "ends"), [(4, "succeeded"), (5, "failed")])
def test_a_deadlock_is_retried_five_times_and_no_more(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, clashes: int, ends: str
) -> None:
    """D17: and whatever happens, a later run converges."""
    left = clashes

    def clash() -> None:
        nonlocal left
        if left:
            left -= 1
            raise _clash(desk.database.dialect)

    at(monkeypatch, "apply.batch.entities", clash)
    outcome = desk.sync(people(5))

    assert (outcome.state, left) == (ends, 0)
    assert outcome.code == (None if ends == "succeeded" else StoreUnavailable.code)
    assert len(desk.users()) == (5 if ends == "succeeded" else 0)
    assert desk.sync().state == "succeeded"
    assert len(desk.users()) == 5


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_two_processes_write_to_one_sqlite_file_and_lose_nothing(
    database_url: str, tmp_path: Path
) -> None:
    """D18"""
    script = tmp_path / "count.py"
    script.write_text(
        "import sys\n"
        "from syncd.store.database import Database\n"
        "database = Database(sys.argv[1])\n"
        "def add(conn):\n"
        "    n = conn.exec_driver_sql('select n from counter').scalar_one()\n"
        "    conn.exec_driver_sql('update counter set n = ?', (n + 1,))\n"
        "for _ in range(200): database.transact(add)\n"
    )
    database = Database(database_url)
    with database.engine.begin() as conn:
        conn.exec_driver_sql("create table counter (n integer)")
        conn.exec_driver_sql("insert into counter values (0)")

    both = [subprocess.Popen([sys.executable, str(script), database_url]) for _ in range(2)]
    assert [one.wait(60) for one in both] == [0, 0]

    with database.read() as conn:
        assert conn.exec_driver_sql("select n from counter").scalar_one() == 400
    database.close()


# -- stopping --------------------------------------------------------------------------------------


def test_a_cancelled_run_stops_at_the_next_page_and_keeps_its_cursor(
    desk: Desk, source: Source
) -> None:
    """D32"""
    source.people, source.cursor = crowd(2), "c1"
    desk.sync()
    before = desk.rows()

    def cancel() -> None:
        with desk.database.engine.begin() as conn:
            conn.execute(sa.update(t.run).values(cancel_requested=True))

    source.people, source.page_size, source.cursor = crowd(8), 2, "c2"
    source.between = cancel
    outcome = desk.sync()

    assert (outcome.state, outcome.code) == ("cancelled", "cancelled")
    assert desk.rows() == before

    source.between = None
    desk.sync()
    assert source.asked[-1] == "c1"
    assert len(desk.users()) == 8


def test_an_interrupted_read_is_started_again_by_the_next_sync(desk: Desk, source: Source) -> None:
    """D04: in the same run, without a leaver."""
    source.people, source.page_size = crowd(6), 2
    source.between = desk.engine.stop.set
    with pytest.raises(Interrupted):
        desk.sync()
    assert desk.users() == []

    source.between = None
    desk.engine.stop.clear()
    outcome = desk.sync()
    assert outcome.state == "succeeded"
    assert outcome.run == 1
    assert len(desk.users()) == 6


def test_a_step_that_never_ends_is_not_started_for_ever(desk: Desk, source: Source) -> None:
    """D07"""
    source.people, source.page_size = crowd(6), 2

    def crash() -> None:
        raise RuntimeError("a bug of the connector")

    source.between = crash
    for _ in range(3):
        with pytest.raises(RuntimeError):
            desk.sync()
    outcome = desk.sync()
    assert (outcome.state, outcome.code) == ("failed", "poison")

    source.between = None
    assert desk.sync().state == "succeeded"
    assert len(desk.users()) == 6


def test_two_newcomers_with_one_identity_never_fail_a_batch(desk: Desk, source: Source) -> None:
    """Where identities are no rule, they are unique all the same: none of both has it."""
    desk.mapping('[user]\nmatch = ["email"]\n')
    same = [["https://idp.example", "s1"]]
    source.people = [who("Ada", identities=same), who("Bob", identities=same)]

    outcome = desk.sync()

    assert (outcome.state, outcome.code) == ("partial", "quarantine")
    assert desk.quarantine() == {"ada": "shared_key", "bob": "shared_key"}
    assert desk.rows(t.identity)["identity"] == []


def test_both_databases_draw_the_same_picture(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """One list of everything that is odd, on SQLite and on PostgreSQL."""
    rows = [
        person("Straße", Notes="ß", Site="Zürich"),
        person("İstanbul", **{"E-mail": "İ@acme.example"}),
        person("ﬁne", Staff_no="ﬁ1", Title="x" * 300),
        person("e\u0301", Staff_no="e1"),
        person("Zero", "A\u200bcme", **{"E-mail": ""}),
        person("'; drop table link; --", Staff_no="';--", CF_code="\\x00"),
    ]
    pictures = []
    for dialect in ("sqlite", "postgresql"):
        url = _fresh(dialect, tmp_path, request)
        desk = Desk(tmp_path / f"{dialect}-config", url)
        desk.sync(rows)
        desk.sync(rows[1:])
        pictures.append((desk.picture(), desk.quarantine(), desk.links(), desk.sites()))
        desk.close()
    assert pictures[0] == pictures[1]


def _fresh(dialect: str, folder: Path, request: pytest.FixtureRequest) -> str:
    import shutil

    if dialect == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), folder / "one.db")
        return f"sqlite:///{folder / 'one.db'}"
    from tests.conftest import _database

    server = request.getfixturevalue("postgres_server")
    manager = _database(server, request.getfixturevalue("postgres_template"))
    url = manager.__enter__()
    request.addfinalizer(lambda: manager.__exit__(None, None, None))
    return url


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_plan_may_concern_more_clients_than_one_statement_can_name(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many values a statement can bind differs from one SQLite library to the next."""
    monkeypatch.setattr(bulk, "CHUNK", 100)
    monkeypatch.setattr(bulk, "ROWS_AT_ONCE", 10)
    engine = desk.database.engine
    engine.dispose()
    most = sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER
    sa.event.listen(engine, "connect", lambda raw, _record: raw.setlimit(most, 400))
    clients = [f"C{number}" for number in range(450)]
    firsts = [person(f"A{number}", client) for number, client in enumerate(clients)]
    seconds = [person(f"B{number}", client) for number, client in enumerate(clients)]

    first = desk.sync(firsts)
    second = desk.sync([{**row, "Title": "Head"} for row in firsts] + seconds)
    held = desk.sync(seconds)

    assert (first.state, second.state, held.state) == ("succeeded", "succeeded", "held")
    approved = desk.approve(held.holds[0])
    assert approved.state == "succeeded"
    assert [desk.undo(run).state for run in (held.run, second.run, first.run)] == ["succeeded"] * 3
    assert desk.users() == []


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_no_more_records_are_planned_together_than_the_configuration_allows(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory must not grow with the number of records that are new or changed."""
    desk.precedence = "[engine]\npage_size = 4\n"
    desk.reload()
    together: list[int] = []

    def plan(planner: Planner, stream: str, parse: Any, items: Any, *more: Any) -> Decisions:
        together.append(len(items))
        return whole(planner, stream, parse, items, *more)

    whole = Planner.plan
    monkeypatch.setattr(Planner, "plan", plan)
    desk.sync(people(10))
    desk.sync([{**row, "Title": "Head"} for row in people(10)])

    assert [count for count in together if count > 1] == [4, 4, 2] * 2  # and one client


def test_partitions_that_are_planned_side_by_side_make_nobody_twice(
    desk: Desk, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither plan knows the other: what one of them made speaks against the other."""
    both = threading.Barrier(2)

    def reach(place: str) -> None:
        if place == "apply.started":
            both.wait(30)

    def kept() -> tuple[list[str], list[str]]:
        with desk.database.read() as conn:
            return list(conn.execute(sa.select(t.client.c.name)).scalars()), desk.names()

    source.partitions = ["acme", "bolt"]
    source.organizations = [raw("acme", name="Acme"), raw("bolt", name="Acme")]
    source.people = [who("Ada"), who("Ada", "bolt", key="ada2", mail="ada@acme.example")]
    desk.mapping('[client]\nmatch = ["name"]\n')
    with monkeypatch.context() as patch:
        patch.setattr(applying, "reach", reach)
        first = desk.sync()

    assert kept() == (["Acme"], ["Ada"])
    assert first.counts["stale"] > 0
    desk.sync()
    assert kept() == (["Acme"], ["Ada"])


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_a_first_load_and_a_restored_backup_leave_no_table_that_nothing_is_known_of(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL plans queries by statistics, and gathers them a minute later by itself."""

    def known() -> set[str]:
        with desk.database.read() as conn:
            query = "select tablename from pg_stats where schemaname = current_schema()"
            return set(conn.execute(sa.text(query)).scalars())

    monkeypatch.setattr(statistics, "LARGE", 1)
    large = {"link", "item", "user_account", "change"}

    desk.sync(people(3))

    assert large <= known()
    with desk.database.engine.begin() as conn:
        conn.exec_driver_sql("create table restored (like item including all)")
        conn.exec_driver_sql("insert into restored select * from item")
        conn.exec_driver_sql("drop table item")
        conn.exec_driver_sql("alter table restored rename to item")
    assert "item" not in known()

    def work_on(*given: Any, **options: Any) -> None:
        assert large <= known()
        walking.work_on(*given, **options)

    monkeypatch.setattr(flow, "work_on", work_on)
    assert desk.sync(people(4)).state == "succeeded"
