"""Tours through the real command line: each step is printed as someone would type it."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from syncd import cli

_MARK = "made by the syncd demo"
DONE, FAILED, QUARANTINED, UNREACHABLE = 0, 1, 3, 5


class Step(NamedTuple):
    """What is said, what is typed, and the exit code that it must have. What is typed may only be
    known once the step begins.
    """

    words: str
    command: Sequence[str] | Callable[[], Sequence[str]]
    expected: int = DONE
    before: Callable[[], Iterable[str]] = tuple
    """Does what a person would do first, and says how that is typed."""


def take(folder: Path, steps: Iterable[Step], after: Callable[[], None] = lambda: None) -> int:
    """Walk a tour in a folder that is made anew; 0 if every step ended as it should. It ends at
    once, and badly, when one does not.
    """
    began = time.monotonic()
    if not _cleared(folder):
        return 1
    _go_there(folder)
    for step in steps:
        if not _took(step):
            return 1
    after()
    say(
        f"\n# That was the tour, in {time.monotonic() - began:.1f} s. It is all in {folder}; go on:"
    )
    say(f"#   cd {folder} && syncd --help")
    return 0


def _cleared(folder: Path) -> bool:
    """Make the folder anew; one that is not ours is left alone."""
    mark = folder / ".mark"
    if folder.exists():
        if not mark.is_file():
            say(f"# {folder} was not made by this tour, so it is left as it is; move it away.")
            return False
        shutil.rmtree(folder)
    folder.mkdir()
    mark.write_text(f"{_MARK}\n")
    return True


def _go_there(folder: Path) -> None:
    """Into the folder, without what would lead the tour to another configuration or database."""
    for name in [name for name in os.environ if name.startswith("SYNCD_")]:
        del os.environ[name]
    os.environ["SYNCD_ACTOR"] = "demo"
    os.chdir(folder)


def _took(step: Step) -> bool:
    say(f"\n# {step.words}")
    for typed in step.before():
        say(f"$ {typed}")
    command = step.command() if callable(step.command) else step.command
    say(f"$ syncd {' '.join(_shown(word) for word in command)}")
    code = cli.run(list(command))
    if code == step.expected:
        return True
    say(f"# This ended with {code} instead of {step.expected}: the tour is broken.")
    return False


def _shown(word: str) -> str:
    return f'"{word}"' if " " in word else word


def say(text: str) -> None:
    """A line of the tour itself."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
