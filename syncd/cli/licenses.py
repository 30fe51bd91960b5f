"""licenses, subscriptions: what clients have of their providers, today or on a past day."""

from __future__ import annotations

from datetime import UTC, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from syncd.cli import finding, session
from syncd.cli.console import as_json, more, plain, table, talk
from syncd.cli.session import AsJson, InClient, Limit
from syncd.entities import Kind
from syncd.errors import UsageError
from syncd.text import decimal_text

if TYPE_CHECKING:
    from uuid import UUID

    from syncd.sync.engine import Engine

At = Annotated[
    str,
    typer.Option(
        "--at",
        metavar="DATE",
        help="As it was at the end of that day, or at a time such as 2026-11-20T14:30.",
        show_default="now",
    ),
]


def licenses(
    context: typer.Context,
    *,
    client: InClient = None,
    at: At = "",
    limit: Limit = 50,
    json: AsJson = False,
) -> None:
    """List pools of licenses: how many were bought and assigned, now or on a past day."""
    from syncd.store import answers_licenses

    moment = _moment(at) if at else None
    with session.of(context).engine() as engine:
        found = answers_licenses.pools(engine.database, _owner(engine, client), moment, limit=limit)
    if json:
        as_json(licenses=found.lines, total=found.total, not_known=found.unknown, at=moment)
        return
    if found.lines:
        table(_POOL, [_pool_cells(one) for one in found.lines])
        more(len(found.lines), found.total, "--limit 0 shows all")
    for name in found.unknown:
        talk(f"{plain(name)}: not known at that time; its licenses were first read later")
    if not found.lines and not found.unknown:
        talk("no licenses found: no source has told of any")


_POOL = ("client", "product", "bought", "assigned", "in use", "status", "flags")


def _pool_cells(one: Any) -> list[Any]:
    bought, consumed = _number(one.bought), _number(one.consumed)
    flags = ", ".join(one.flags)
    return [one.client, one.product, bought, one.assigned, consumed, one.status, flags]


def subscriptions(
    context: typer.Context,
    *,
    client: InClient = None,
    limit: Limit = 50,
    json: AsJson = False,
) -> None:
    """List subscriptions: term, seats, renewal, and who told of them."""
    from syncd.store import answers_licenses

    with session.of(context).engine() as engine:
        lines, total = answers_licenses.subscriptions(
            engine.database, _owner(engine, client), limit=limit
        )
    if json:
        as_json(subscriptions=lines, total=total)
        return
    if not lines:
        talk("no subscriptions found: no source has told of any")
        return
    table(_SUBSCRIPTION, [_subscription_cells(one) for one in lines])
    more(len(lines), total, "--limit 0 shows all")


_SUBSCRIPTION = (
    "client",
    "product",
    "seats",
    "status",
    "term",
    "billed",
    "renews or ends",
    "flags",
)


def _subscription_cells(one: Any) -> list[Any]:
    ends = f"{one.ends_on}{' (renews)' if one.auto_renew else ''}" if one.ends_on else None
    flags = ", ".join([*(["trial"] if one.trial else []), *one.flags])
    cells = [one.client, one.product, _number(one.quantity), one.status]
    return [*cells, one.term, one.billing_cycle, ends, flags]


def _number(value: Decimal | None) -> str | None:
    return None if value is None else decimal_text(value)


def _owner(engine: Engine, client: str | None) -> UUID | None:
    return finding.one(engine.database, Kind.CLIENT, client).id if client else None


def _moment(text: str) -> datetime:
    """A day means its end; a time without a zone is this computer's."""
    try:
        told = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f'"{text}" is no date: write it as 2026-11-20 or 2026-11-20T14:30'
        ) from None
    if len(text) <= len("2026-11-20"):
        told = datetime.combine(told, time.max)
    return told.astimezone(UTC)
