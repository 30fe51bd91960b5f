"""Where files are in a drop-folder: waiting, in work, and put away with their answers.

    FOLDER/NAME                          what people drop; a sub-folder may name a client
    FOLDER/.syncd/PLACE/original…        a file that was claimed, by renaming it
    FOLDER/.syncd/PLACE/snapshot…        its private copy, without columns that look like secrets
    FOLDER/processed, rejected, held/    what became of it

Every step is one renaming, which happens or does not, so that a process that ends at any moment
leaves something to go on from. Whoever goes on does the same steps again.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from syncd.connectors.drops.config import MANIFEST
from syncd.connectors.sheets.files import SUFFIXES, unavailable
from syncd.errors import ProviderUnavailable
from syncd.text import clean

WORK = ".syncd"
PROCESSED, REJECTED, HELD = "processed", "rejected", "held"
OURS = frozenset({WORK, PROCESSED, REJECTED, HELD})
DONE = ".done"
OLD = 900
"""Seconds after which nobody is still writing a file, whatever the clocks of two computers say."""
MAX_NAME = 180
"""Bytes of the names under which files are put away, with room for what is added to them."""

_BESIDE = (MANIFEST, DONE)
_UNFINISHED = (
    ".part",
    ".partial",
    ".tmp",
    ".temp",
    ".filepart",
    ".crdownload",
    ".download",
    ".swp",
)
"""How programs name what they are still writing."""
_NOT_DROPPED = frozenset({"thumbs.db", "desktop.ini", "readme.txt", "readme.md"})


@dataclass(frozen=True, slots=True)
class Arrival:
    """A finished file that waits to be read."""

    folder: str
    """The sub-folder, as it is called in the file system; "" for none."""
    name: str
    size: int
    modified_ns: int

    @property
    def modified(self) -> float:
        """Seconds since the epoch."""
        return self.modified_ns / 1e9


@dataclass(slots=True)
class Glance:
    """What lies in the folder."""

    ready: list[Arrival] = field(default_factory=list)
    """Finished files, oldest first."""
    unfinished: list[str] = field(default_factory=list)
    """Files that are still being written, or whose upload nobody declared finished."""
    unwanted: list[tuple[Arrival, str]] = field(default_factory=list)
    """What is never opened, and why."""


class Places:
    """The drop-folder of one connection. Raises ProviderUnavailable where it cannot be read."""

    def __init__(self, root: Path) -> None:
        self.root = root

    # -- what is there -----------------------------------------------------------------------------

    def folders(self) -> list[str]:
        """The folders in which files are dropped: the root, "", and its sub-folders."""
        found = [""]
        for entry in self._entries(self.root):
            ours = entry.name in OURS or entry.name.startswith((".", "~"))
            if not ours and entry.is_dir(follow_symlinks=False) and not _is_sheet(entry.name):
                found.append(entry.name)
        return sorted(found)

    def look(self, *, by_mark: bool, stable_for: float) -> Glance:
        """Everything that was dropped.

        by_mark: whether NAME.done says that a file is whole; stable_for: else so many seconds
        without a change, which are waited for where a file is new.
        """
        glance, fresh = Glance(), []
        for arrival, problem, is_done in self._dropped(by_mark=by_mark):
            if problem:
                glance.unwanted.append((arrival, problem))
            elif by_mark and not is_done:
                glance.unfinished.append(shown(arrival.folder, arrival.name))
            elif by_mark or time.time() - arrival.modified > OLD:
                glance.ready.append(arrival)
            else:
                fresh.append(arrival)
        if fresh:
            # Two looks and not its age, which two computers may see differently.
            time.sleep(stable_for)
            for arrival in fresh:
                if self.still(arrival):
                    glance.ready.append(arrival)
                else:
                    glance.unfinished.append(shown(arrival.folder, arrival.name))
        glance.ready.sort(key=lambda one: (one.modified_ns, one.folder, one.name))
        return glance

    def _dropped(self, *, by_mark: bool) -> Iterator[tuple[Arrival, str | None, bool]]:
        for folder in self.folders():
            entries = {entry.name: entry for entry in self._entries(self.root / folder)}
            for name, entry in entries.items():
                if _is_passed_over(name) or (not folder and name in OURS):
                    continue
                try:
                    found = entry.stat(follow_symlinks=False)
                except OSError:
                    continue  # it is gone already: somebody was quicker
                if stat.S_ISDIR(found.st_mode) and not _is_sheet(name):
                    continue
                arrival = Arrival(folder, name, found.st_size, found.st_mtime_ns)
                yield arrival, _problem(name, found), by_mark and name + DONE in entries

    def still(self, arrival: Arrival) -> bool:
        """Whether a file is as it was when it was seen."""
        try:
            found = os.lstat(self.path(arrival))
        except OSError:
            return False
        return (found.st_size, found.st_mtime_ns) == (arrival.size, arrival.modified_ns)

    def path(self, arrival: Arrival) -> Path:
        """Where a file was dropped."""
        return self.root / arrival.folder / arrival.name

    def _entries(self, folder: Path) -> list[os.DirEntry[str]]:
        try:
            if not stat.S_ISDIR(os.lstat(folder).st_mode) and folder != self.root:
                return []
            with os.scandir(folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            if folder == self.root:
                raise ProviderUnavailable(
                    f"the folder {folder} cannot be read ({error.strerror}); nobody leaves while "
                    "it is away"
                ) from None
            raise unavailable(folder, error) from None

    def is_marked(self) -> bool:
        """Whether files were ever claimed here."""
        return (self.root / WORK).is_dir()

    # -- a file in work ----------------------------------------------------------------------------

    def work(self, place: str = "") -> Path:
        """The folder of what is in work, or of one file of it."""
        folder = self.root / WORK / place
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(folder, error) from None
        return folder

    def take(self, place: str, arrival: Arrival) -> bool:
        """Claim a file by renaming it; False if somebody else did. Again is no harm."""
        original = self.original(place, arrival.name)
        if original.exists() or self.snapshot(place, arrival.name).exists():
            return True
        self.work(place)
        if not self._rename(self.path(arrival), original):
            self.forget(place)
            return False
        for suffix in _BESIDE:
            self._rename(Path(f"{self.path(arrival)}{suffix}"), self.beside(place, suffix))
        return True

    def give_back(self, place: str, folder: str, name: str) -> None:
        """Put a claimed file where it was dropped, under a free name."""
        original, copied = self.original(place, name), self.snapshot(place, name)
        if os.path.lexists(original):
            copied.unlink(missing_ok=True)  # one of them is enough, also for whoever goes on
        else:
            original = copied
        if os.path.lexists(original):
            home = self.root / folder
            home.mkdir(exist_ok=True)
            target = _free(home, name)
            for suffix in _BESIDE:
                self._rename(self.beside(place, suffix), Path(f"{target}{suffix}"))
            self._rename(original, target)
        self.forget(place)

    def take_back(self, place: str, held: Path, name: str) -> None:
        """Have a file in work again that was put away."""
        self.work(place)
        self._rename(held, self.snapshot(place, name))

    def give_back_unknown(self, place: str, age: float) -> None:
        """Put back a claimed file of which nothing but its place is known, once it is so old."""
        for path in self.work(place).glob("original*"):
            if time.time() - path.stat(follow_symlinks=False).st_ctime > age:
                self._rename(path, _free(self.root, f"found-{place[:8]}{path.suffix}"))
                self.forget(place)

    def original(self, place: str, name: str) -> Path:
        """The claimed file."""
        return self.root / WORK / place / f"original{_suffix(name)}"

    def snapshot(self, place: str, name: str) -> Path:
        """Its private copy."""
        return self.root / WORK / place / f"snapshot{_suffix(name)}"

    def forget_original(self, place: str, folder: str, name: str, size: int) -> None:
        """Remove a claimed file that was copied: it may hold what its copy does not. One that was
        still written to meanwhile, since it is not of this size any more, is dropped again.
        """
        original = self.original(place, name)
        if not original.exists() or not self.snapshot(place, name).exists():
            return
        if original.stat().st_size == size:
            original.unlink()
        else:
            home = self.root / folder
            home.mkdir(exist_ok=True)
            self._rename(original, _free(home, name))

    def beside(self, place: str, suffix: str) -> Path:
        """What was dropped beside it, its manifest or mark, if anything was."""
        return self.root / WORK / place / f"beside{suffix}"

    def forget(self, place: str) -> None:
        """Remove what is left of a file's work."""
        shutil.rmtree(self.root / WORK / place, ignore_errors=True)

    def in_work(self) -> list[str]:
        """The places of all files in work."""
        if not (self.root / WORK).is_dir():
            return []
        return [entry.name for entry in self._entries(self.root / WORK) if entry.is_dir()]

    # -- put away ----------------------------------------------------------------------------------

    def free_name(self, into: str, folder: str, name: str) -> str:
        """A place that is free in `processed`, `rejected` or `held`, from there."""
        home = Path(into, safe_name(folder) if folder else "")
        free = _free(self._away(home), safe_name(name)).name
        return str(Path(*home.parts[1:], free))

    def put(self, source: Path, into: str, name: str) -> Path | None:
        """Move a file; None if there is none to be moved, nor was one."""
        target = self.away(into, name)
        self._away(target.parent.relative_to(self.root))
        return target if self._rename(source, target) or os.path.lexists(target) else None

    def away(self, into: str, name: str) -> Path:
        """Where a file was put."""
        return self.root / into / name

    def explain(self, into: str, name: str, why: str) -> str:
        """Write beside a file that was put away why it was; the name of that."""
        path = self.away(into, f"{name}.why.txt")
        self._away(path.parent.relative_to(self.root))
        try:
            path.write_text(f"{why}\n", encoding="utf-8")
        except OSError as error:
            raise _unwritable(path.parent, error) from None
        return str(path.relative_to(self.root))

    def _away(self, into: Path) -> Path:
        folder = self.root / into
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(folder, error) from None
        return folder

    def _rename(self, source: Path, target: Path) -> bool:
        try:
            source.rename(target)
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:  # what cannot have this name is not there
                return False
            raise _unwritable(target.parent, error) from None
        return True


def _unwritable(folder: Path, error: OSError) -> ProviderUnavailable:
    return ProviderUnavailable(
        f"cannot write into {folder} ({error.strerror}); syncd must be allowed to move what is "
        "dropped; sync again when that is mended, and it goes on from here"
    )


def shown(folder: str, name: str) -> str:
    """A file's place as people read it: nothing in it can harm a terminal or a database."""
    whole = f"{folder}/{name}" if folder else name
    return safe_text(whole)


def safe_text(name: str) -> str:
    """A file name as text that can be stored and shown."""
    plain = os.fsencode(name).decode("utf-8", "replace")
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in plain)


def safe_name(name: str) -> str:
    """A name under which a file can be put away: of one line, and not too long."""
    plain = clean(safe_text(name)).replace("\N{REPLACEMENT CHARACTER}", "_").lstrip(".") or "file"
    stem, suffix = Path(plain).stem, Path(plain).suffix[:20]
    while len(f"{stem}{suffix}".encode()) > MAX_NAME:
        stem = stem[:-1]
    return f"{stem}{suffix}"


def _free(folder: Path, name: str) -> Path:
    stem, suffix = Path(name).stem, Path(name).suffix
    path, number = folder / name, 1
    while os.path.lexists(path):
        number += 1
        path = folder / f"{stem}~{number}{suffix}"
    return path


def _suffix(name: str) -> str:
    suffix = Path(name).suffix.lower()
    return suffix if suffix in SUFFIXES else ""


def _is_sheet(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES


def _is_passed_over(name: str) -> bool:
    """Whether a name is none of a dropped file: hidden, unfinished, or said about another one."""
    lower = name.lower()
    if name.startswith((".", "~")) or lower.endswith(_UNFINISHED) or lower in _NOT_DROPPED:
        return True
    return lower.endswith((DONE, MANIFEST))


def _problem(name: str, found: os.stat_result) -> str | None:
    """Why something is never opened; None for an ordinary file."""
    if not stat.S_ISREG(found.st_mode):
        return "it is not a regular file but a link, folder or device, and was not opened"
    if found.st_nlink > 1:
        return "it has another name elsewhere (a hard link), and was not opened; drop a copy"
    if not _is_sheet(name):
        kinds = ", ".join(sorted(SUFFIXES))
        return f"it is no spreadsheet by its name; syncd reads {kinds}"
    return None
