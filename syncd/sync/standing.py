"""How partitions stand: noted when a read ends, well or badly, and only where it is news."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from syncd.connectors.base import Partition
from syncd.errors import AccessLost, ProviderError
from syncd.health import Trouble, fix
from syncd.log import redact_text
from syncd.store.database import Transaction
from syncd.sync.engine import Engine


def of_error(error: ProviderError) -> Trouble:
    """The trouble that an error tells of."""
    return Trouble(error.condition or error.code)


def note(engine: Engine, partition: int, troubles: Iterable[Trouble]) -> None:
    """Remember how a partition stands, with since when."""
    found = {one.code: one.detail for one in troubles}

    def is_news(conn: Transaction) -> bool:
        known = engine.runs.health(conn, partition)
        return known is None or found != {code: told["detail"] for code, told in known.items()}

    def work(conn: Transaction) -> None:
        known = engine.runs.health(conn, partition)
        now = engine.database.now(conn).isoformat()
        since = {code: told["since"] for code, told in (known or {}).items()}
        health = {
            code: {"since": since.get(code, now), "detail": detail}
            for code, detail in found.items()
        }
        engine.runs.set_health(conn, partition, health)

    if engine.database.lookup(is_news):
        engine.database.transact(work)


def diagnose(engine: Engine, name: str) -> list[str]:
    """The partitions of a connection that cannot be read, each with why. AccessLost where none can
    be.
    """
    connector = engine.connector(name)
    connector.check()
    found = list(connector.diagnose())
    told = [_why(partition, error) for partition, error in found if error is not None]
    if told and len(told) == len(found):
        raise AccessLost("\n     ".join(["none of it can be read", *_first(told)]))
    return told


def _why(partition: Partition, error: ProviderError) -> str:
    trouble = of_error(error)
    return f"{partition.name or partition.key}: {redact_text(str(error))}; {fix(trouble.code)}"


_TOLD = 5


def _first(told: Sequence[str]) -> list[str]:
    more = [f"and {len(told) - _TOLD} more"] if len(told) > _TOLD else []
    return [*told[:_TOLD], *more]
