"""The command line. `main` is the program; each module holds commands that belong together."""

from syncd.cli.app import main, run

__all__ = ["main", "run"]
