"""How fast tenants of Microsoft are read: `make bench`, or `python -m tests.benchmarks.microsoft`.

A miniature serves pages that were made beforehand, over HTTPS, from a process of its own; its CPU
seconds are shown apart. PostgreSQL. The baseline makes the same requests, tokens included, on as
many threads: with `requests`, `json`, and COPY and a merge into one bare table.

    fetch  the requests of a full read alone, decoded by nobody
    R      the requests, decoded, and loaded into one bare table
    first  sync into an empty database
    same   sync again, in full: nothing changed
    idle   sync again, by delta: nothing changed

One tenant with many users (connector `entra`), then many tenants (`microsoft_csp`) whose every
answer takes 50 ms. Nothing fails for being slow: a case below its floor says "under".
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks import servers
from tests.benchmarks.graph_world import CLIENT, PARTNER, tenant_id

CASES = ("fetch", "R", "first", "same", "idle")
Result = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """What is read, on how many threads, and what is asked of it: per case, at least this much of
    another one's rate; of `slower`, at most so many times another one's seconds.
    """

    connector: str
    tenants: int
    users: int
    delay: float
    threads: int
    floors: dict[str, tuple[str, float]]
    ceilings: dict[str, tuple[str, float]] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return self.tenants * self.users


def _cases(users: int, tenants: int, each: int, threads: int) -> Iterator[Case]:
    floors = {"first": ("R", 0.25), "same": ("R", 2.0)}
    yield Case("entra", 1, users, 0.0, 1, floors)
    ceilings = dict.fromkeys(("same", "idle"), ("fetch", 1.2))
    yield Case("microsoft_csp", tenants, each, 0.05, threads, {}, ceilings)


def main() -> int:
    """Measure and show; 1 only where a sync did something else than what was to be measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=100_000, help="of the one tenant")
    parser.add_argument("--tenants", type=int, default=200)
    parser.add_argument("--each", type=int, default=500, help="users of each of the many")
    parser.add_argument("--threads", type=int, default=2, help="for many tenants (default: 2)")
    chosen = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="syncd-bench-ms-") as folder,
        servers.server("postgresql", Path(folder)) as server,
    ):
        print(f"\n{server.about}")
        for case in _cases(chosen.users, chosen.tenants, chosen.each, chosen.threads):
            if not _measure(case, server, Path(folder)):
                return 1
    return 0


class World:
    """The miniature's process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.where = self._read()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found

    def told(self) -> tuple[float, int]:
        """CPU seconds so far, and how often it was asked."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        found = self._read()
        return found["cpu"], found["asked"]


@contextmanager
def _world(case: Case) -> Iterator[World]:
    command = [sys.executable, "-m", "tests.benchmarks.graph_world"]
    command += [str(case.tenants), str(case.users), str(case.delay)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield World(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(timeout=30)


def _measure(case: Case, server: servers.Server, folder: Path) -> bool:
    many = f"{case.tenants:,} tenants of {case.users:,} users" if case.tenants > 1 else "one tenant"
    wait = f", {case.delay * 1000:.0f} ms an answer" if case.delay else ""
    print(f"\n{case.connector}: {many}, {case.total:,} users{wait}, {case.threads} threads")
    print(_COLUMNS.format("case", "users/s", "seconds", "CPU s", "world CPU", "asked", "floors"))
    results: dict[str, Result] = {}
    url = server.create()
    _run("migrate", url=url)
    with _world(case) as world:
        for name in CASES:
            cpu, asked = world.told()
            results[name] = _do(case, name, url, world.where, folder)
            server.settle()
            then = world.told()
            results[name] |= {"world": then[0] - cpu, "asked": then[1] - asked}
            _show(case, name, results)
            if wrong := _wrong(case, name, results[name]):
                print(f"WRONG: {name}: {wrong}")
                return False
    server.drop(url)
    return True


def _do(case: Case, name: str, url: str, where: dict[str, str], folder: Path) -> Result:
    given = {"root": where["root"], "ca_file": where["ca_file"], "threads": case.threads}
    if name in ("fetch", "R"):
        tenants = [tenant_id(number) for number in range(case.tenants)]
        is_partner = case.connector != "entra"
        return _run("graph_baseline", url=url, tenants=tenants, is_partner=is_partner,
                    load=name == "R", **given)  # fmt: skip
    return _run("graph_sync", url=url, connector=case.connector, folder=str(folder),
                full=name != "idle", watched=name != "first",  # each row would wake a trigger
                tenant=PARTNER if case.tenants > 1 else tenant_id(0),
                client=CLIENT, **given)  # fmt: skip


def _run(task: str, **given: Any) -> Result:
    command = [sys.executable, "-m", "tests.benchmarks.child", task, json.dumps(given)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: Result = json.loads(done.stdout.splitlines()[-1])
    return result


_COLUMNS = "  {:<8}{:>10}{:>10}{:>9}{:>11}{:>8}  {}"


def _show(case: Case, name: str, results: dict[str, Result]) -> None:
    one = results[name]
    print(
        _COLUMNS.format(
            name,
            f"{case.total / one['seconds']:,.0f}",
            f"{one['seconds']:.2f}",
            f"{one['cpu']:.2f}",
            f"{one['world']:.2f}",
            one["asked"],
            "; ".join(_verdicts(case, name, results)),
        ),
        flush=True,
    )


def _verdicts(case: Case, name: str, results: dict[str, Result]) -> Iterator[str]:
    seconds = results[name]["seconds"]
    if name in case.floors:
        other, floor = case.floors[name]
        ratio = results[other]["seconds"] / seconds
        yield f"{ratio:.2f} of {other}, wanted {floor}{'' if ratio >= floor else ': under'}"
    if name in case.ceilings:
        other, most = case.ceilings[name]
        ratio = seconds / results[other]["seconds"]
        yield f"{ratio:.2f} times {other}, wanted {most}{'' if ratio <= most else ': over'}"
    if name == "idle":
        yield f"{results[name]['asked'] / case.tenants:.1f} requests a tenant"


def _wrong(case: Case, name: str, result: Result) -> str | None:
    """What a sync did that was not to be measured."""
    if name in ("fetch", "R"):
        return None if result["users"] == case.total else f"{result['users']} users"
    if result["state"] != "succeeded":
        return str(result)
    created = result["counts"].get("create user", 0)
    if created != (case.total if name == "first" else 0):
        return f"{created} users created"
    if result.get("written"):
        return f"it wrote {result['written']}"
    return None


if __name__ == "__main__":
    sys.exit(main())
