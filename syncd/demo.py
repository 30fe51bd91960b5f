"""A tour with the sample sheets through the real command line: `make demo`.

Works in ./.demo, which it removes and makes anew. Each step is printed as someone would type it;
the tour ends at once, and badly, when a step does not end as it should.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from syncd import cli, demo_files

FOLDER = Path(".demo")
DONE, FAILED, QUARANTINED = 0, 1, 3
DROP = Path("drop")
_MARK = "made by the syncd demo"


class Step(NamedTuple):
    """What is said, what is typed, and the exit code that it must have."""

    words: str
    command: Sequence[str]
    expected: int = DONE
    before: Callable[[], Iterable[str]] = tuple
    """Does what a person would do first, and says how that is typed."""


def _drop_files() -> Iterator[str]:
    shutil.copy("config/samples/drop-folder.toml", "config/connections/drop.toml")
    yield "cp config/samples/drop-folder.toml config/connections/drop.toml"
    for name in demo_files.drop(DROP):
        yield f'cp "…/{name}" "{DROP / name}"'


def _repair() -> Iterator[str]:
    yield demo_files.repair(DROP)


def _drop_again() -> Iterator[str]:
    yield demo_files.drop_again(DROP)


STEPS = (
    Step("Write a configuration with sample sheets, and create a database.", ["init"]),
    Step("Is all of it in order?", ["check"]),
    Step("What would a sync do? Some rows of the sheet are bad on purpose.",
         ["plan", "people"], QUARANTINED),
    Step("Do it.", ["sync", "people"], QUARANTINED),
    Step("The clients …", ["clients"]),
    Step("… their sites, with a Main where the sheet names none …", ["sites"]),
    Step("… and the users.", ["users", "--limit", "12"]),
    Step("What was set aside, and why?", ["review"]),
    Step("A second source knows some of them, and better what they are called at work.",
         ["sync", "payroll"], QUARANTINED),
    Step("Why is this user as she is, and whose is each value?",
         ["explain", "maud.okafor@alderfinch.example.com"]),
    Step("A person's own change is in the same history, and no sync undoes it.",
         ["users", "set", "maud.okafor@alderfinch.example.com", "title=Head of the practice"]),
    Step("Sync again: nothing changes.", ["sync"], QUARANTINED),
    Step("A user whom no sheet knows: added by hand.",
         ["users", "add", "--client", "Brightwater Dental", "name=Ada Byron",
          "email=ada.byron@brightwater.example.org"]),
    Step("Who is in the source and not on the desk, or the other way round?", ["gaps"]),
    Step("People drop spreadsheets in a folder, good ones and bad ones. A look at one of them:",
         ["csv", "inspect", "drop/accounts.csv", "--rows", "1"], before=_drop_files),
    Step("What becomes of each: a bomb and half a file are refused, one row has to be repaired.",
         ["sync", "drop"], FAILED),
    Step("The failed row, repaired and dropped again, finishes the job …",
         ["sync", "drop"], before=_repair),
    Step("… and what was processed changes nothing when it is dropped again.",
         ["sync", "drop"], before=_drop_again),
)  # fmt: skip


def main() -> int:
    """Take the tour; 0 if every step ended as it should."""
    began = time.monotonic()
    if not _cleared():
        return 1
    _go_there()
    for step in STEPS:
        if not _took(step):
            return 1
    _say(f"\n# What lies in {DROP} now:")
    for path in sorted(path for path in DROP.rglob("*") if path.is_file()):
        _say(f"#   {path}")
    _say(
        f"\n# That was the tour, in {time.monotonic() - began:.1f} s. It is all in {FOLDER}; go on:"
    )
    _say(f"#   cd {FOLDER} && syncd --help")
    return 0


def _cleared() -> bool:
    """Make the folder anew; one that is not ours is left alone."""
    mark = FOLDER / ".mark"
    if FOLDER.exists():
        if not mark.is_file():
            _say(f"# {FOLDER} was not made by this tour, so it is left as it is; move it away.")
            return False
        shutil.rmtree(FOLDER)
    FOLDER.mkdir()
    mark.write_text(f"{_MARK}\n")
    return True


def _go_there() -> None:
    """Into the folder, without what would lead the tour to another configuration or database."""
    for name in [name for name in os.environ if name.startswith("SYNCD_")]:
        del os.environ[name]
    os.environ["SYNCD_ACTOR"] = "demo"
    os.chdir(FOLDER)


def _took(step: Step) -> bool:
    _say(f"\n# {step.words}")
    for typed in step.before():
        _say(f"$ {typed}")
    _say(f"$ syncd {' '.join(_shown(word) for word in step.command)}")
    code = cli.run(list(step.command))
    if code == step.expected:
        return True
    _say(f"# This ended with {code} instead of {step.expected}: the tour is broken.")
    return False


def _shown(word: str) -> str:
    return f'"{word}"' if " " in word else word


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
