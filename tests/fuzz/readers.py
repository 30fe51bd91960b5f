"""Coverage-guided fuzzing of what reads spreadsheets: `make fuzz`, a minute of it in `make check`.

Whatever bytes are dropped, nothing but a ProviderError comes of them, in bounded time and memory.
The first byte of an input chooses what the rest is: a text file, a workbook as it is, or the parts
of a workbook, which no mutation of compressed bytes would ever reach.
"""

from __future__ import annotations

import argparse
import io
import itertools
import os
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

SECONDS = 3600
TIMEOUT = 20
"""Seconds after which one input counts as a hang."""
MEMORY = 1500
"""Megabytes."""
SEPARATOR = b"\xff\x00\xff"
PARTS = (
    "xl/worksheets/sheet1.xml",
    "xl/sharedStrings.xml",
    "xl/styles.xml",
    "xl/workbook.xml",
    "xl/_rels/workbook.xml.rels",
    "_rels/.rels",
)
TEXT, WORKBOOK, MARKUP = range(3)


def main() -> int:
    """Fuzz for so many seconds; 0 if nothing was found."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("seconds", nargs="?", type=int, default=SECONDS)
    options.add_argument("--seed", type=int, default=0, help="to do the same again; 0: any")
    options.add_argument("--corpus", type=Path, help="a folder to begin from and to add to")
    chosen = options.parse_args()
    try:
        import atheris
    except ImportError:
        print("fuzz: atheris has no release for this Python or platform; nothing was fuzzed")
        return 0
    with tempfile.TemporaryDirectory(prefix="syncd-fuzz-") as scratch:
        corpus = chosen.corpus or Path(scratch, "corpus")
        seed(corpus)
        process = os.fork()
        if process == 0:
            _fuzz(atheris, chosen, corpus, Path(scratch))
        _, status = os.waitpid(process, 0)
    code = os.waitstatus_to_exitcode(status)
    print(f"fuzz: {chosen.seconds} s, " + ("nothing found" if code == 0 else f"ended with {code}"))
    return 1 if code else 0


def _fuzz(atheris: Any, chosen: argparse.Namespace, corpus: Path, scratch: Path) -> None:
    with atheris.instrument_imports(include=["syncd.connectors", "syncd.text", "csv"]):
        target = Target(scratch)
    limits = [f"-timeout={TIMEOUT}", f"-rss_limit_mb={MEMORY}", f"-max_total_time={chosen.seconds}"]
    quiet = [
        "-verbosity=0",
        "-print_final_stats=1",
        "-max_len=20000",
        f"-artifact_prefix={Path.cwd()}/",
    ]
    atheris.Setup([sys.argv[0], *limits, *quiet, str(corpus)], target.run)
    atheris.Fuzz()


class Target:
    """What is fuzzed."""

    def __init__(self, scratch: Path) -> None:
        from syncd.connectors.base import DEFAULT_PARTITION
        from syncd.connectors.drops.config import Declared
        from syncd.connectors.drops.inspecting import inspect
        from syncd.connectors.drops.reader import Assignment, FileReader
        from syncd.connectors.drops.snapshots import leave_secrets_out
        from syncd.connectors.sheets.sheet import Reading
        from syncd.errors import ProviderError

        self.partition, self.reading = DEFAULT_PARTITION, Reading()
        self.inspect, self.reader, self.assignment = inspect, FileReader, Assignment
        self.leave_secrets_out = leave_secrets_out
        self.error = ProviderError
        self.declared = Declared(contents="full", key="emailaddress", client="Acme")
        self.text, self.workbook = scratch / "fuzzed.csv", scratch / "fuzzed.xlsx"

    def run(self, data: bytes) -> None:
        """Read an input in every way in which a dropped file is read."""
        path, content = self._file(data)
        path.write_bytes(content)
        try:
            self.leave_secrets_out(path, path.name, self.reading)
            reader = self.reader(self.declared, self.assignment(path, path.name), 50)
            reader.check()
            for stream in reader.streams():
                for page in reader.read(stream, self.partition, None):
                    for item in page.items:
                        stream.parse(item.raw)
            for _ in itertools.islice(reader.lines(), 100):
                pass
        except self.error:
            pass
        self.inspect(path, self.declared)

    def _file(self, data: bytes) -> tuple[Path, bytes]:
        kind, rest = (data[0] % 3 if data else TEXT), data[1:]
        if kind == TEXT:
            return self.text, rest
        return self.workbook, rest if kind == WORKBOOK else packed(rest)


def packed(data: bytes) -> bytes:
    """A workbook of parts that stand one after the other."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, part in itertools.zip_longest(PARTS, data.split(SEPARATOR), fillvalue=None):
            if name and part is not None:
                archive.writestr(name, part)
    return buffer.getvalue()


def seed(corpus: Path) -> None:
    """The templates, in some encodings and both formats, to begin from."""
    from syncd.connectors.sheets import templates
    from syncd.connectors.sheets.writing import open_writer

    corpus.mkdir(parents=True, exist_ok=True)
    for what in templates.HEADINGS:
        rows = templates.rows(what)
        text = "\r\n".join(",".join(row) for row in rows)
        for encoding in ("utf-8", "utf-8-sig", "utf-16", "cp1252"):
            (corpus / f"{what}-{encoding}").write_bytes(bytes([TEXT]) + text.encode(encoding))
        path = corpus / "seed.xlsx"
        with open_writer(path, {}) as writer:
            writer.write(rows)
        whole = path.read_bytes()
        path.unlink()
        (corpus / f"{what}-workbook").write_bytes(bytes([WORKBOOK]) + whole)
        with zipfile.ZipFile(io.BytesIO(whole)) as archive:
            names = set(archive.namelist())
            parts = [archive.read(name) if name in names else b"" for name in PARTS]
        (corpus / f"{what}-markup").write_bytes(bytes([MARKUP]) + SEPARATOR.join(parts))


if __name__ == "__main__":
    sys.exit(main())
