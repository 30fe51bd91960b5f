"""A tour with the sample sheets through the real command line: `make demo`.

Works in ./.demo, which it removes and makes anew.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from syncd import demo_files, tour
from syncd.tour import FAILED, QUARANTINED, Step, say

FOLDER = Path(".demo")
DROP = Path("drop")


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


def _tell_what_lies_there() -> None:
    say(f"\n# What lies in {DROP} now:")
    for path in sorted(path for path in DROP.rglob("*") if path.is_file()):
        say(f"#   {path}")


def main() -> int:
    """Take the tour; 0 if every step ended as it should."""
    return tour.take(FOLDER, STEPS, _tell_what_lies_there)


if __name__ == "__main__":
    sys.exit(main())
