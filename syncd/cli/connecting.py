"""connect and keys: how connections are authorized, and what seals that."""

from __future__ import annotations

import webbrowser
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from syncd.cli import session
from syncd.cli.console import as_json, say, talk
from syncd.cli.session import Actor, AsJson, whoever
from syncd.cli.syncing import Connection

if TYPE_CHECKING:
    from syncd.connectors.asking import Manner

keys = typer.Typer(help="List, make or rotate the keys that seal stored credentials.")


@dataclass(frozen=True)
class _Person:
    """Whoever sits at the terminal."""

    manner: Manner
    opens: bool

    def tell(self, sentence: str, /) -> None:
        talk(sentence)

    def open(self, url: str, /) -> None:
        """The page is shown as well: the browser may be on another machine, or none."""
        talk(f"sign in at\n\n  {url}\n")
        if self.opens:
            webbrowser.open(url)

    def secret(self, what: str, /) -> str:
        found: str = typer.prompt(what, hide_input=True, err=True)
        return found.strip()


def connect(
    context: typer.Context,
    name: Connection,
    *,
    code: Annotated[
        bool, typer.Option("--code", help="Sign in on another machine, with a code.")
    ] = False,
    browser: Annotated[
        bool, typer.Option(help="Open the page to sign in, or only show where it is.")
    ] = True,
    actor: Actor = "",
) -> None:
    """Sign in for a connection, and keep what comes of it sealed.

    Nothing has to be typed again while it is used at least every 90 days. Do it again whenever a
    connection is paused with "reconnect"; it goes on by itself then.
    """
    from syncd.connectors.asking import Manner
    from syncd.sync import connections

    with session.of(context).engine() as engine:
        person = _Person(Manner.CODE if code else Manner.BROWSER, browser)
        made = connections.connect(engine, name, person, actor or whoever())
    if made:
        talk(f"made the first key, {made}: keep a copy of {engine.settings.secrets.keys_file}")
    say(f"{name} is connected")


@keys.command("list")
def list_keys(context: typer.Context, *, json: AsJson = False) -> None:
    """List the names of the keys; the first one seals, all of them open."""
    from syncd.sealing import Keyring

    settings = session.of(context).settings()
    keyring = Keyring.of(settings.secrets, settings.folder)
    names = keyring.names() if keyring.exists() else []
    if json:
        as_json(keys=names)
        return
    for name in names:
        say(name)
    if not names:
        talk("there is no key yet; syncd connect makes the first one")


@keys.command("new")
def new_key() -> None:
    """Print a new key, for those who keep keys in SYNCD_SECRETS_KEYS."""
    from syncd import sealing

    say(sealing.new_key())


@keys.command("rotate")
def rotate_keys(context: typer.Context) -> None:
    """Seal everything with a new key, and forget the old ones. Nothing has to stop meanwhile."""
    from syncd.sync import granting

    with session.of(context).engine() as engine:
        name, renewed = granting.rotate(engine.database, engine.settings)
    say(f"key {name} seals the credentials of {', '.join(renewed) or 'no connection yet'}")
