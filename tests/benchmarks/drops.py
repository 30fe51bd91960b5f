"""How fast and how lean dropped files are read and worked off, on this computer.

    python -m tests.benchmarks.drops                      a million rows of each, bombs
    python -m tests.benchmarks.drops --rows 10000000 --only sync

Each measurement is a process of its own, so that its memory is its own. `reading` is compared with
the plain `csv` module on the same file in the same run: both only cut the file into rows of text.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

CASES = ("reading", "workbook", "bombs", "sync")
ENCODINGS = ("utf-8", "cp1252", "utf-16")
ROUNDS = 3
_XLSX_COLUMNS = 10


def main() -> int:
    """Measure and print."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--only", nargs="+", choices=CASES, default=CASES, metavar="CASE")
    options.add_argument("--task", help=argparse.SUPPRESS)
    options.add_argument("--given", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.task:
        print(json.dumps(_measured(TASKS[chosen.task], **json.loads(chosen.given))))
        return 0
    with tempfile.TemporaryDirectory(prefix="syncd-bench-") as folder:
        for case in chosen.only:
            SHOWS[case](Path(folder), chosen.rows)
    return 0


def _measured(task: Callable[..., dict[str, Any]], **given: Any) -> dict[str, Any]:
    from syncd.connectors.sheets import files, worksheets  # noqa: F401  # not to be measured

    began, cpu = time.monotonic(), time.process_time()
    told = task(**given)
    took = {"seconds": time.monotonic() - began, "cpu": time.process_time() - cpu}
    return {**took, "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, **told}


def _run(task: str, **given: Any) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.benchmarks.drops", "--task", task]
    done = subprocess.run(
        [*command, "--given", json.dumps(given)], stdout=subprocess.PIPE, check=True, text=True
    )
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


# -- what is measured ------------------------------------------------------------------------------


def write_text(path: str, rows: int, encoding: str) -> dict[str, Any]:
    from tests.benchmarks import sheet

    with open(path, "w", encoding=encoding, newline="") as file:  # noqa: PTH123
        writer = csv.writer(file)
        writer.writerow(sheet.HEADINGS)
        writer.writerows(sheet.row(number) for number in range(rows))
    return {"bytes": Path(path).stat().st_size}


def plain(path: str, encoding: str) -> dict[str, Any]:
    rows = 0
    with open(path, encoding=encoding, newline="") as file:  # noqa: PTH123
        reader = csv.reader(file)
        while taken := len(list(islice(reader, 128))):
            rows += taken
    return {"rows": rows - 1}


def ours(path: str) -> dict[str, Any]:
    from syncd.connectors.sheets.files import open_sheet
    from syncd.connectors.sheets.sheet import Reading

    with open_sheet(Path(path), Reading(), {}) as sheet:
        return {"rows": sum(len(batch.rows) for batch in sheet.batches(5_000)), **sheet.shown}


def write_workbook(path: str, rows: int) -> dict[str, Any]:
    from syncd.connectors.sheets.writing import open_writer
    from tests.benchmarks import sheet

    def all_rows() -> Iterator[tuple[str, ...]]:
        yield sheet.HEADINGS[:_XLSX_COLUMNS]
        yield from (sheet.row(number)[:_XLSX_COLUMNS] for number in range(rows))

    with open_writer(Path(path), {}) as writer:
        writer.write(all_rows())
    return {"bytes": Path(path).stat().st_size}


def refuse(path: str) -> dict[str, Any]:
    from syncd.connectors.sheets.files import open_sheet
    from syncd.connectors.sheets.sheet import Reading
    from syncd.errors import BadResponse

    began = time.monotonic()
    try:
        with open_sheet(Path(path), Reading(), {}) as sheet:
            for _ in sheet.batches(5_000):
                pass
    except BadResponse as error:
        return {"refused": str(error)[:60], "seconds_alone": time.monotonic() - began}
    return {"refused": None}


def work_off(folder: str) -> dict[str, Any]:
    from syncd import settings
    from syncd.sync import dropping
    from syncd.sync.engine import Engine
    from syncd.sync.step import Progress

    last: dict[str, float] = {}

    def report(progress: Progress) -> None:
        now = time.monotonic()
        if now - last.get(progress.phase, 0) > 10:
            last[progress.phase] = now
            total = f" of {progress.total:,}" if progress.total else ""
            print(f"  {progress.phase} {progress.stream} {progress.done:,}{total}", file=sys.stderr)

    engine = Engine.open(settings.load(Path(folder)), report)
    outcomes = list(dropping.sync_all(engine, "drop"))
    engine.database.close()
    return {"state": [one.state for one in outcomes], "counts": outcomes[0].counts}


TASKS: dict[str, Callable[..., dict[str, Any]]] = {
    one.__name__: one for one in (write_text, plain, ours, write_workbook, refuse, work_off)
}


# -- how it is shown -------------------------------------------------------------------------------


def show_reading(folder: Path, rows: int) -> None:
    print(f"\nreading {rows:,} rows of 22 columns, against the csv module (best of {ROUNDS})")
    for encoding in ENCODINGS:
        path = str(folder / f"{encoding}.csv")
        size = _run("write_text", path=path, rows=rows, encoding=encoding)["bytes"]
        base = min(_run("plain", path=path, encoding=encoding)["cpu"] for _ in range(ROUNDS))
        told = [_run("ours", path=path) for _ in range(ROUNDS)]
        cpu, peak = min(one["cpu"] for one in told), max(one["mb"] for one in told)
        print(
            f"  {encoding:<8}{size / 1e6:7.0f} MB  csv {base:6.2f} s  syncd {cpu:6.2f} s  "
            f"ratio {cpu / base:.2f} (wanted: 1.3)  {peak:.0f} MB of memory"
        )
        Path(path).unlink()


def show_workbook(folder: Path, rows: int) -> None:
    rows = min(rows, 1_000_000)
    path = str(folder / "big.xlsx")
    size = _run("write_workbook", path=path, rows=rows)["bytes"]
    told = _run("ours", path=path)
    print(
        f"\n{rows:,} rows of {_XLSX_COLUMNS} columns as XLSX ({size / 1e6:.0f} MB): "
        f"{told['seconds']:.0f} s, {told['mb']:.0f} MB of memory (wanted: 300)"
    )
    Path(path).unlink()


def show_bombs(folder: Path, _rows: int) -> None:
    from tests.connectors.sheets.test_workbooks import HARMFUL

    print("\nbombs, and how long it takes to refuse them (wanted: 2 s)")
    for what, make in HARMFUL.items():
        path = folder / "bomb.xlsx"
        path.write_bytes(make())
        told = _run("refuse", path=str(path))
        print(f"  {told['seconds_alone']:6.2f} s  {told['mb']:4.0f} MB  {what}: {told['refused']}")


def show_sync(folder: Path, rows: int) -> None:
    home = folder / "config"
    for name in ("connections", "drop"):
        (home / name).mkdir(parents=True)
    (home / "syncd.toml").touch()
    (home / "connections" / "drop.toml").write_text(
        'connector = "folder"\n[config]\nfolder = "drop"\ncontents = "full"\n'
        'key = "emailaddress"\nstable_for = 0\n'
    )
    _migrate(home)
    _run("write_text", path=str(home / "drop" / "people.csv"), rows=rows, encoding="utf-8")
    print(f"\na dropped file of {rows:,} rows, on SQLite, with its answers")
    told = _run("work_off", folder=str(home))
    print(
        f"  first load {rows / told['seconds']:,.0f} rows a second ({told['seconds']:.0f} s), "
        f"{told['mb']:.0f} MB of memory (wanted: 300), {told['state']}"
    )
    again = home / "drop" / "people2.csv"
    (home / "drop" / "processed" / "people.csv").rename(again)
    with again.open("a", newline="") as file:
        file.write("\n")
    told = _run("work_off", folder=str(home))
    print(
        f"  unchanged  {rows / told['seconds']:,.0f} rows a second ({told['seconds']:.0f} s), "
        f"{told['mb']:.0f} MB of memory"
    )


def _migrate(home: Path) -> None:
    from syncd import settings
    from syncd.store import migrate
    from syncd.store.database import Database

    database = Database(settings.load(home).database.url.get_secret_value())
    migrate.upgrade(database)
    database.close()


SHOWS: dict[str, Callable[[Path, int], None]] = {
    "reading": show_reading,
    "workbook": show_workbook,
    "bombs": show_bombs,
    "sync": show_sync,
}

if __name__ == "__main__":
    sys.exit(main())
