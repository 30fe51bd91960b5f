"""One measured piece of work in a process of its own, so that its memory and CPU time are its own.

Run by `tests.benchmarks.core` as `python -m tests.benchmarks.child TASK ARGUMENTS`, the latter as
JSON; prints one line of JSON about how it went.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

CONNECTION = "people"


def main() -> None:
    task, given = sys.argv[1], json.loads(sys.argv[2])
    print(json.dumps(TASKS[task](**given)))


def write_sheet(path: str, users: int, edits: int, shuffle: int | None) -> dict[str, Any]:
    from tests.benchmarks import sheet

    sheet.write(Path(path), users, edits=edits, shuffle=shuffle)
    return {"bytes": Path(path).stat().st_size}


def migrate(url: str) -> dict[str, Any]:
    from syncd.store import migrate as schema
    from syncd.store.database import Database

    database = Database(url)
    schema.upgrade(database)
    database.close()
    return {}


def bare_table(url: str, file: str) -> dict[str, Any]:
    from tests.benchmarks import baselines, watching

    watching.count_statements()
    return _measured(baselines.bare_table(url, Path(file)))


def same_rows(url: str, file: str, kept: str) -> dict[str, Any]:
    from tests.benchmarks import baselines, watching

    watching.count_statements()
    return _measured(baselines.same_rows(url, Path(file), Path(kept)))


def keep_rows(url: str, kept: str) -> dict[str, Any]:
    from tests.benchmarks import baselines

    return {"rows": baselines.keep_rows(url, Path(kept))}


def sync(
    url: str,
    file: str,
    folder: str,
    watched: bool,
    connection: str = CONNECTION,
    order: Sequence[str] = (),
) -> dict[str, Any]:
    from syncd import settings
    from syncd.store.database import Database
    from syncd.sync import flow
    from syncd.sync.engine import Engine
    from tests.benchmarks import watching

    os.environ["SYNCD_DATABASE_URL"] = url
    watching.count_statements()
    engine = Engine.open(settings.load(_configured(Path(folder), Path(file), connection, order)))
    if watched:
        watching.watch_tables(Database(url))
    outcome: list[flow.Outcome] = []
    measured = _measured(lambda: outcome.append(flow.sync(engine, connection)))
    engine.database.close()
    if watched:
        measured["written"] = watching.unwatch_tables(Database(url))
    return {**measured, "state": outcome[0].state, "counts": outcome[0].counts}


EDIT = """\
extends = "csv"
[user.fields]
department = "{department}, {job_title}"
"""
"""An edit that changes every user: the most that there can be to plan."""


def plan_edit(url: str, file: str, folder: str, stored: bool) -> dict[str, Any]:
    """Plan what an edit of the mapping would do, from the stored items or from the file."""
    from syncd import settings
    from syncd.sync import flow, replanning
    from syncd.sync.engine import Engine
    from tests.benchmarks import watching

    os.environ["SYNCD_DATABASE_URL"] = url
    watching.count_statements()
    engine = Engine.open(settings.load(_configured(Path(folder), Path(file), CONNECTION)))
    edited = Path(folder) / "edited.toml"
    edited.write_text(EDIT, "utf-8")
    outcome: list[flow.Outcome] = []

    def work() -> None:
        if stored:
            outcome.append(replanning.plan_under(engine, CONNECTION, edited, "benchmark"))
        else:
            outcome.append(flow.sync(engine.under(CONNECTION, edited), CONNECTION, mode="plan"))

    measured = _measured(work)
    engine.database.close()
    return {**measured, "state": outcome[0].state, "counts": outcome[0].counts}


def graph_baseline(
    url: str,
    root: str,
    ca_file: str,
    threads: int,
    tenants: Sequence[str],
    is_partner: bool,
    load: bool,
) -> dict[str, Any]:
    from tests.benchmarks import graph_baseline as baseline

    asked = baseline.Asked(root, ca_file, is_partner)
    users: list[int] = []
    if load:
        loader = baseline.Loader(url)
        measured = _measured(lambda: users.append(baseline.load(asked, tenants, threads, loader)))
        loader.drop()
    else:
        measured = _measured(lambda: users.append(baseline.fetch(asked, tenants, threads)))
    return {**measured, "users": users[0]}


def graph_sync(
    url: str,
    root: str,
    ca_file: str,
    threads: int,
    connector: str,
    folder: str,
    full: bool,
    watched: bool,
    tenant: str,
    client: str,
) -> dict[str, Any]:
    from syncd import settings
    from syncd.store.database import Database
    from syncd.sync import flow
    from syncd.sync.engine import Engine
    from tests.benchmarks import watching

    os.environ["SYNCD_DATABASE_URL"] = url
    config = {"tenant": tenant, "client_id": client, "client_secret": "x", "authority": root}
    config |= {"graph": f"{root}/v1.0", "sign_in": "application"}
    config |= {"partner_center": f"{root}/v1"} if connector == "microsoft_csp" else {}
    lines = "".join(f"{name} = {value!r}\n" for name, value in config.items())
    place = Path(folder) / connector
    (place / "connections").mkdir(parents=True, exist_ok=True)
    host = root.removeprefix("https://")
    (place / "syncd.toml").write_text(
        f"[engine]\nthreads = {threads}\n[network]\nprivate = ['{host}']\nca_file = '{ca_file}'\n"
    )
    (place / "connections" / "cloud.toml").write_text(
        f"connector = '{connector}'\n[config]\n{lines}"
    )
    engine = Engine.open(settings.load(place))
    if watched:
        watching.watch_tables(Database(url))
    outcome: list[flow.Outcome] = []
    measured = _measured(lambda: outcome.append(flow.sync(engine, "cloud", full=full)))
    engine.database.close()
    if watched:
        measured["written"] = watching.unwatch_tables(Database(url))
    return {**measured, "state": outcome[0].state, "counts": outcome[0].counts}


def _configured(folder: Path, file: Path, connection: str, order: Sequence[str] = ()) -> Path:
    """A folder of settings for a combined sheet with the mapping that the connector ships. `order`:
    the connections whose values stand before the others'.
    """
    from tests.benchmarks.sheet import KEY

    (folder / "connections").mkdir(parents=True, exist_ok=True)
    precedence = f"[precedence]\ndefault = {json.dumps(order)}\n" if order else ""
    (folder / "syncd.toml").write_text(precedence, "utf-8")
    (folder / "connections" / f"{connection}.toml").write_text(
        f'connector = "csv"\n[config]\ncombined = "{file.as_posix()}"\n'
        f'contents = "full"\nkey = "{KEY}"\n',
        "utf-8",
    )
    return folder


def _measured(work: Callable[[], object]) -> dict[str, Any]:
    """Wall and CPU seconds of the work, the process's peak memory in MB, statements sent."""
    from tests.benchmarks import watching

    watching.sent.clear()
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "seconds": wall,
        "cpu": cpu,
        "peak": peak / (2**20 if sys.platform == "darwin" else 2**10),
        "statements": watching.sent["statements"],
    }


TASKS: dict[str, Callable[..., dict[str, Any]]] = {
    task.__name__: task
    for task in (
        *(write_sheet, migrate, bare_table, same_rows, keep_rows, sync, plan_edit),
        *(graph_baseline, graph_sync),
    )
}

if __name__ == "__main__":
    main()
