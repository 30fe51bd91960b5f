"""A desk with two days of spreadsheets, and processes that sync it and die at a chosen place."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from syncd import failpoints, settings
from syncd.sync import flow
from syncd.sync.engine import Engine

HEADINGS = "employee_id,client_name,site_name,name,emailaddress,login,title,inactive"
TOO_LONG = "x" * 300

MONDAY = f"""{HEADINGS}
e1,Alder,London,Ada,ada@alder.example,ada,Engineer,no
e2,Alder,London,Bob,bob@alder.example,bob,Clerk,no
e3,Alder,Leeds,Cyd,cyd@alder.example,cyd,Clerk,no
e4,Alder,Leeds,Dee,dee@alder.example,dee,Partner,no
e5,Birch,Main,Eve,eve@birch.example,eve,Cook,no
e6,Birch,Main,Fay,fay@birch.example,fay,Cook,no
e7,Birch,Main,Gus,gus@birch.example,gus,Baker,no
e8,Birch,Main,Hal,hal@birch.example,{TOO_LONG},Baker,no
e9,Birch,Main,Ivy,ivy@birch.example,ivy,Baker,no
"""

TUESDAY = f"""{HEADINGS}
e1,Alder,Leeds,Ada Byron,ada@alder.example,ada,Engineer,no
e2,Alder,London,Bob,cyd@alder.example,bob,Clerk,no
e3,Alder,Leeds,Cyd,bob@alder.example,cyd,Head clerk,no
e4,Alder,York,Dee,dee@alder.example,dee,Partner,yes
e5,Birch,Main,Eve,eve@birch.example,eve,Cook,no
e6,Birch,Main,Fay,fay@birch.example,fay,Head cook,no
n1,Cedar,,Jan,jan@cedar.example,jan,Owner,no
n2,Cedar,,Kit,kit@cedar.example,kit,Owner,no
e9,Birch,Main,Ivy,ivy@birch.example,ivy,Baker,no
n3,Birch,Hull,Lou,lou@birch.example,lou,Baker,no
n4,Birch,Hull,Max,max@birch.example,max,Baker,no
n5,Alder,Leeds,Nan,same@alder.example,nan,Clerk,no
n6,Alder,Leeds,Ola,same@alder.example,ola,Clerk,no
n7,Alder,Leeds,Pip,pip@alder.example,pip,Clerk,no
n7,Alder,Leeds,Pip,pip@alder.example,pip,Chief,no
n8,Alder,Leeds,Rex,rex@alder.example,{TOO_LONG},Clerk,no
"""
"""Renames, a swap of addresses, a site move, a leaver (e7), a disabled user, a row in quarantine
that is not there any more (e8), one that is new (n8), new clients and sites, two newcomers with one
address and one key that stands there twice."""

WIDE = "{ count = 1000, share = 1.0 }"

MAPPING = """
[client]
match = ["ref", "name"]

[user]
match = ["identity", "employee_id", "email", "login"]

[gone]
absent = {{ action = "deactivate", after = "1 read" }}

[limits]
deactivate = {limit}
deactivate_run = {limit}
create = {limit}
site_move = {limit}
key_change = {limit}
"""
NONE = "{ count = 0, share = 0.0 }"

CONNECTION = """
connector = "csv"
mapping = "people"

[config]
combined = "people.csv"
contents = "full"
key = "employee_id"
page_size = 4
"""


@dataclass
class Desk:
    """A configuration folder with one sheet, and the database that it names."""

    folder: Path
    url: str

    def configure(self, *, limit: str = WIDE, lease_seconds: int = 60) -> Desk:
        for name in ("connections", "mappings"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        main = f'[database]\nurl = "{self.url}"\n[engine]\nlease_seconds = {lease_seconds}\n'
        (self.folder / "syncd.toml").write_text(main)
        (self.folder / "connections" / "people.toml").write_text(CONNECTION)
        (self.folder / "mappings" / "people.toml").write_text(MAPPING.format(limit=limit))
        return self

    def put(self, sheet: str) -> None:
        (self.folder / "people.csv").write_text(sheet)

    def open(self) -> Engine:
        engine = Engine.open(settings.load(self.folder), check=False)
        engine.database.engine = _warm(engine.database.engine)
        return engine

    def use(self, work: Callable[[Engine], object]) -> object:
        """What `work` makes of an engine of its own."""
        engine = self.open()
        try:
            return work(engine)
        finally:
            engine.database.close()

    def sync(self) -> flow.Outcome:
        outcome = self.use(lambda engine: flow.sync(engine, "people"))
        assert isinstance(outcome, flow.Outcome)
        return outcome


_engines: dict[str, sa.Engine] = {}
_target: dict[str, sa.URL] = {}


def _warm(engine: sa.Engine) -> sa.Engine:
    """An engine that knows all our statements already, led to the database of `engine`.

    Compiling them is most of the work of a small sync, and a forked process inherits what its
    parent compiled. Only one desk of a process is open at a time.
    """
    _target[engine.dialect.name] = engine.url
    if engine.dialect.name not in _engines:
        _engines[engine.dialect.name] = engine
        sa.event.listen(engine, "do_connect", _lead)
    return _engines[engine.dialect.name]


def _lead(dialect: Any, _record: Any, _args: list[Any], options: dict[str, Any]) -> None:
    args, found = dialect.create_connect_args(_target[dialect.name])
    _args[:] = args
    options.update(found)


class Child:
    """A forked process that works on a desk with an engine of its own, and tells how it went."""

    def __init__(self, desk: Desk, work: Callable[[Engine], object]) -> None:
        self._told, told = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # xdist has threads, at rest here
            self.pid = os.fork()
        if self.pid == 0:
            _work_and_exit(desk, work, told)
        os.close(told)

    def wait(self) -> tuple[str, object]:
        """How it ended: ("killed", None), ("raised", name of the error) or ("done", result)."""
        _, status = os.waitpid(self.pid, 0)
        with os.fdopen(self._told, "rb") as pipe:
            said = pipe.read()
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            return "killed", None
        return pickle.loads(said)

    def wait_until_stopped(self) -> None:
        _, status = os.waitpid(self.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), "the process ended before it reached the place"

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)


def _work_and_exit(desk: Desk, work: Callable[[Engine], object], told: int) -> None:
    try:
        said: tuple[str, object] = ("done", work(desk.open()))
    except BaseException as error:
        said = ("raised", type(error).__name__)
    finally:
        failpoints.arm("")
        os.write(told, pickle.dumps(said))
        os._exit(0)


def freeze() -> None:
    """Stop this process until somebody wakes it."""
    signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
