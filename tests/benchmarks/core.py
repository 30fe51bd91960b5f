"""How fast one sync is: `make bench`, or `python -m tests.benchmarks.core --help`.

Every case runs in a process of its own. Baselines and the cases that are compared with them take
turns, so that a busy moment of the computer slows both. The memory and CPU seconds are those of
syncd's process, not of a database server. Nothing here fails for being slow: a case below its
floor says "under"; only a result that is wrong ends with exit code 1.

    R      parse the file, load one bare table (executemany, or COPY and a merge)
    W      parse the file, load the rows that the first load left in all tables, with all indexes
    first  sync into an empty database
    same   sync again: same content, rows shuffled, file renamed
    some   sync again: 1 % of the users changed, rows shuffled, file renamed
    reread plan, from the file, under an edited mapping that changes every user
    replan the same plan, from the stored items: `syncd plan --mapping`
    behind sync another connection of the same users, half of them changed in two fields, into
           what a first load left; it stands behind the first, whose values stay
    before the same, but it stands before the first one, so that every value becomes its own
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks import servers, sheet

CASES = ("R", "W", "first", "same", "some", "reread", "replan", "behind", "before")
MAPPED = {"replan": {"reread": 1.0}}
"""Stored items are planned again faster than the file is read again."""
BOTH: dict[str, dict[str, float]] = {"behind": {"first": 0.5}, "before": {"first": 0.5}}
"""Two connections cost at most 1.5 times what their loads cost apart."""
FLOORS: dict[str, dict[str, dict[str, float]]] = {
    "sqlite": {
        "first": {"W": 0.4, "R": 0.06},
        "same": {"R": 0.5},
        "some": {"R": 0.4},
        **MAPPED,
        **BOTH,
    },
    "postgresql": {
        "first": {"W": 0.4, "R": 0.08},
        "same": {"R": 0.8},
        "some": {"R": 0.6},
        **MAPPED,
        **BOTH,
    },
}
MILLION = 1_000_000
MOST_MEMORY = 250
"""MB of peak memory, however many rows."""

Result = dict[str, Any]


class WrongResult(Exception):
    """A sync did something else than what was to be measured."""


def main() -> int:
    chosen = _arguments()
    with tempfile.TemporaryDirectory(prefix="syncd-bench-files-") as folder:
        try:
            for dialect in chosen.databases:
                _measure(Bench(dialect, Path(folder), chosen.users), chosen.only, chosen.rounds)
            if chosen.million:
                _measure(Bench("sqlite", Path(folder), MILLION, limit=MOST_MEMORY), CASES[2:4], 1)
        except WrongResult as wrong:
            print(f"WRONG: {wrong}")
            return 1
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    parser.add_argument("--only", nargs="+", choices=CASES, default=CASES, metavar="CASE")
    parser.add_argument(
        "--rounds", type=int, default=3, help="of every case; their median is shown"
    )
    parser.add_argument("--million", action="store_true", help="a million users on SQLite as well")
    chosen = parser.parse_args()
    both = chosen.database == "both"
    chosen.databases = ["sqlite", "postgresql"] if both else [chosen.database]
    return chosen


# -- running ---------------------------------------------------------------------------------------


def _run(task: str, **given: Any) -> Result:
    """A task of `child.py` in a fresh process.

    This process stays small, for on Linux a child's peak memory begins as its parent's.
    """
    command = [sys.executable, "-m", "tests.benchmarks.child", task, json.dumps(given)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: Result = json.loads(done.stdout.splitlines()[-1])
    return result


@dataclass
class Bench:
    """The cases on one kind of database, and what they measured so far."""

    dialect: str
    folder: Path
    users: int
    limit: int | None = None
    synced: str = ""
    """The sheet that the database holds."""
    results: dict[str, list[Result]] = field(default_factory=lambda: defaultdict(list))

    def sheet(self, name: str, edits: int = 0, shuffle: int | None = None) -> str:
        """The path of a sheet, which is written when it is first asked for."""
        path = self.folder / f"{self.users}-{name}.csv"
        if not path.exists():
            _run("write_sheet", path=str(path), users=self.users, edits=edits, shuffle=shuffle)
        return str(path)

    def sync(self, url: str, file: str, *, watched: bool = False, **more: Any) -> Result:
        settings = str(self.folder / "settings")
        return _run("sync", url=url, file=file, folder=settings, watched=watched, **more)

    def plan(self, url: str, *, stored: bool) -> Result:
        settings = str(self.folder / "settings")
        return _run("plan_edit", url=url, file=self.synced, folder=settings, stored=stored)

    def keep(self, case: str, result: Result) -> None:
        print(f"  {self.dialect} {case}: {result['seconds']:.2f} s", file=sys.stderr, flush=True)
        self.results[case].append(result)


def _measure(bench: Bench, cases: Sequence[str], rounds: int) -> None:
    with servers.server(bench.dialect, bench.folder) as server:
        _show_heading(bench, server.about)
        main_url = server.create()
        _run("migrate", url=main_url)
        for number in range(rounds):
            if "R" in cases:
                _bare_table(bench, server)
            if number == 0:  # the later cases start from it, and find the edits of earlier rounds
                _first_load(bench, server, main_url)
                if "W" in cases:
                    _keep_rows(bench, main_url)
            elif "first" in cases:
                _another_first_load(bench, server)
            if "W" in cases:
                _same_rows(bench, server)
            if "same" in cases:
                _no_change(bench, server, main_url, number if "some" in cases else 0)
            if "some" in cases:
                _one_percent(bench, server, main_url, number)
            for case in ("reread", "replan"):
                if case in cases:
                    _edited_mapping(bench, server, main_url, case)
            for case in ("behind", "before"):
                if case in cases:
                    _second_source(bench, server, case)
        server.drop(main_url)
    _show(bench)


def _bare_table(bench: Bench, server: servers.Server) -> None:
    url, file = server.create(), bench.sheet("people")
    server.settle()
    bench.keep("R", _run("bare_table", url=url, file=file))
    server.drop(url)


def _kept(bench: Bench) -> str:
    return str(bench.folder / f"{bench.dialect}.rows")


def _keep_rows(bench: Bench, main_url: str) -> None:
    _run("keep_rows", url=main_url, kept=_kept(bench))


def _same_rows(bench: Bench, server: servers.Server) -> None:
    url, file = server.create(), bench.sheet("people")
    _run("migrate", url=url)
    server.settle()
    bench.keep("W", _run("same_rows", url=url, file=file, kept=_kept(bench)))
    server.drop(url)


def _another_first_load(bench: Bench, server: servers.Server) -> None:
    url = server.create()
    _run("migrate", url=url)
    _first_load(bench, server, url)
    server.drop(url)


def _first_load(bench: Bench, server: servers.Server, url: str) -> None:
    file = bench.sheet("people")
    server.settle()
    result = bench.sync(url, file)
    bench.synced = file
    _expect(bench, "first", result, {"create user": bench.users, "in quarantine": 0})


def _no_change(bench: Bench, server: servers.Server, url: str, number: int) -> None:
    file = bench.sheet(f"shuffled-{number}", edits=number, shuffle=2 * number + 1)
    server.settle()
    result = bench.sync(url, file, watched=True)
    if result["written"]:
        raise WrongResult(f"a sync without changes wrote rows: {result['written']}")
    _expect(bench, "same", result, {"update user": 0, "create user": 0})


def _one_percent(bench: Bench, server: servers.Server, url: str, number: int) -> None:
    file = bench.sheet(f"edited-{number}", edits=number + 1, shuffle=2 * number + 2)
    server.settle()
    result = bench.sync(url, file)
    bench.synced = file
    _expect(bench, "some", result, {"update user": bench.users // 100, "create user": 0})


def _edited_mapping(bench: Bench, server: servers.Server, url: str, case: str) -> None:
    server.settle()
    result = bench.plan(url, stored=case == "replan")
    _expect(bench, case, result, {"update user": bench.users, "create user": 0}, "planned")


def _second_source(bench: Bench, server: servers.Server, case: str) -> None:
    url = server.create()
    _run("migrate", url=url)
    _first_load(bench, server, url)
    file = bench.sheet("of-the-second", edits=50, shuffle=0)
    server.settle()
    order = ["second"] if case == "before" else []
    result = bench.sync(url, file, connection="second", order=order)
    updated = bench.users if order else 0
    linked = bench.users - updated
    expected = {"update user": updated, "link user": linked, "create user": 0}
    _expect(bench, case, result, expected)
    server.drop(url)
    shutil.rmtree(bench.folder / "settings")


def _expect(
    bench: Bench, case: str, result: Result, counts: dict[str, int], state: str = "succeeded"
) -> None:
    found = {name: result["counts"].get(name, 0) for name in counts}
    if result["state"] != state or found != counts:
        raise WrongResult(f"{bench.dialect} {case}: {result['state']}, {found} instead of {counts}")
    bench.keep(case, result)


# -- showing ---------------------------------------------------------------------------------------

_COLUMNS = "{:<7}{:>10}{:>9}{:>8}{:>9}{:>12}   {}"


def _show_heading(bench: Bench, about: str) -> None:
    clients = sheet.clients(bench.users)
    columns = len(sheet.HEADINGS)
    print(f"\n{about}\n{bench.users:,} users, {clients:,} clients, {columns} columns", flush=True)


def _show(bench: Bench) -> None:
    print(_COLUMNS.format("case", "rows/s", "seconds", "CPU s", "peak MB", "statements", "floors"))
    for case in sorted(bench.results, key=CASES.index):
        seconds = _median(bench, case, "seconds")
        print(
            _COLUMNS.format(
                case,
                f"{bench.users / seconds:,.0f}",
                f"{seconds:.2f}",
                f"{_median(bench, case, 'cpu'):.2f}",
                f"{_peak(bench, case):.0f}",
                f"{_median(bench, case, 'statements'):,.0f}",
                "   ".join(_verdicts(bench, case, seconds)),
            ).rstrip(),
            flush=True,
        )


def _median(bench: Bench, case: str, what: str) -> float:
    return float(median(one[what] for one in bench.results[case]))


def _peak(bench: Bench, case: str) -> float:
    return float(max(one["peak"] for one in bench.results[case]))


def _verdicts(bench: Bench, case: str, seconds: float) -> list[str]:
    said = []
    for baseline, floor in FLOORS[bench.dialect].get(case, {}).items():
        if baseline in bench.results:
            ratio = _median(bench, baseline, "seconds") / seconds
            verdict = "ok" if ratio >= floor else "UNDER"
            said.append(f"{ratio:.3f} {baseline} (floor {floor}) {verdict}")
            if bench.dialect == "sqlite":  # all the work is our process's: true on a busy computer
                cpu = _median(bench, baseline, "cpu") / _median(bench, case, "cpu")
                said[-1] += f", {cpu:.3f} by CPU"
    if bench.limit:
        peak = _peak(bench, case)
        verdict = "ok" if peak < bench.limit else "OVER"
        said.append(f"{peak:.0f} MB (limit {bench.limit}) {verdict}")
    if case == "same":
        said.append("0 rows written ok")
    return said


if __name__ == "__main__":
    sys.exit(main())
