"""connections health: how each partition stands since it was last read, and what mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from syncd import health as known
from syncd.cli import finding, session
from syncd.cli.console import as_json, plain, say, table, talk
from syncd.cli.session import AsJson
from syncd.health import Trouble

if TYPE_CHECKING:
    from syncd.store.answers_partitions import HealthLine

OK = "ok"
UNLISTED = "unlisted"


class Told(NamedTuple):
    """One trouble of a partition, in words."""

    code: str
    means: str
    since: str | None
    fix: str


def health(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="[CONNECTION]", show_default="all of them")
    ] = None,
    *,
    json: AsJson = False,
) -> None:
    """Tell how each partition stands since it was last read, and how to mend what is wrong."""
    from syncd.store import answers_partitions

    with session.of(context).engine() as engine:
        if name:
            finding.known_connection(engine, name)
        found = answers_partitions.health(engine.database, name)
    if json:
        as_json(partitions=[_data(one) for one in found])
        return
    if not found:
        talk("nothing was read yet: syncd sync")
        return
    table(
        ("connection", "partition", "health", "since"),
        [
            [one.connection, one.name or one.key, state, since]
            for one in found
            for state, since in _states(one)
        ],
    )
    _say_fixes(found)


def _states(one: HealthLine) -> list[tuple[str, str | None]]:
    troubles = [(told.code, told.since) for told in _troubles(one)]
    return troubles or [(OK if one.troubles is not None else "not read yet", None)]


def _say_fixes(found: list[HealthLine]) -> None:
    """What each kind of trouble means, and what to do; once, however many have it."""
    for one in found:
        for told in _troubles(one):
            if told.means != known.means(Trouble(told.code)):  # it says more than its kind does
                say(f"{plain(one.name or one.key)}: {plain(told.means)}")
    codes = {told.code for one in found for told in _troubles(one)}
    for code in sorted(codes):
        say(f"{code}: {known.means(Trouble(code))}")
        say(f"    {known.fix(code)}")


def _troubles(one: HealthLine) -> list[Told]:
    stored = dict(one.troubles or {})
    if one.state == UNLISTED:
        stored.setdefault(UNLISTED, {})
    return [
        Told(code, known.means(Trouble(code, told.get("detail", ""))), _day(told), known.fix(code))
        for code, told in sorted(stored.items())
    ]


def _day(told: dict[str, str]) -> str | None:
    since = told.get("since")
    return since[:16].replace("T", " ") if since else None


def _data(one: HealthLine) -> dict[str, Any]:
    troubles = [told._asdict() for told in _troubles(one)]
    is_ok = one.troubles is not None and not troubles
    told = {"connection": one.connection, "key": one.key, "name": one.name}
    return {**told, "ok": is_ok, "read": one.troubles is not None, "troubles": troubles}
