"""Which part of a run is to be taken back: naming it, finding it, saying where there is none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from syncd.changes import LICENSES, Action, Change
from syncd.entities import CUSTOM, FIELDS, HOLDINGS, Kind
from syncd.errors import UsageError
from syncd.mapping.casts import custom_field
from syncd.mapping.names import ALIASES, suggestion
from syncd.store import history
from syncd.store.answers import short_labels
from syncd.store.history import Undoable
from syncd.store.quiet_links import QuietLinks
from syncd.store.undone import Place, TakenBack, UndoStep, Wanted, taken_back, undo_steps
from syncd.sync.engine import Engine
from syncd.sync.inverting import PLACES, chosen

PAGE = 2000
ORDER = (Kind.USER, *HOLDINGS, Kind.SITE, Kind.CLIENT)
"""Users go before their licenses and sites, and clients last: nothing retires from under others."""
_TOLD = 5
"""So many names of users are told where a part holds nothing."""


def fields_named(names: Iterable[str]) -> frozenset[str]:
    """The fields that a person means, by our names or theirs; UsageError for one that is none."""
    return frozenset(one for name in names for one in _field(name))


def _field(name: str) -> set[str]:
    if name.startswith(CUSTOM) and custom_field(name) is not None:
        return {name}
    known = {field for kind in Kind for field in FIELDS[kind]} | PLACES | {LICENSES}
    meant = {ALIASES.get(kind, {}).get(name, name) for kind in Kind} & known
    if not meant:
        words = known.union(*ALIASES.values())
        raise UsageError(f'there is no field "{name}"{suggestion(name, words)}')
    return meant


def pages(
    engine: Engine, step: int, wanted: Wanted, order: Sequence[Kind] = ORDER
) -> Iterator[list[Change]]:
    """The applied changes of a step on what is wanted, newest first, a page of a kind at a time."""
    for kind in order:
        before: int | None = None
        while True:
            page = engine.database.query(
                lambda conn, before=before, kind=kind: history.applied(  # type: ignore[misc]
                    conn, step, kind, wanted, before, PAGE
                )
            )
            if not page:
                break
            yield page
            before = page[-1].seq


# -- what is there to take back --------------------------------------------------------------------


@dataclass(slots=True)
class _Part:
    """What a run did to what is wanted."""

    found: bool = False
    """It did anything to it at all."""
    left: bool = False
    """Something of that was not taken back yet."""
    by: set[int] = field(default_factory=set)
    """The runs that took something of it back."""


def narrowed(engine: Engine, target: Undoable, wanted: Wanted) -> Undoable:
    """The run with those of its steps that the wanted part is in; UsageError where there is nothing
    to take back, or nothing any more.
    """
    undos = engine.database.query(lambda conn: undo_steps(conn, [target.run]))
    if wanted.is_whole and not undos:
        return target
    parts = [_part(engine, *step, wanted, undos) for step in target.steps]
    steps = [step for step, part in zip(target.steps, parts, strict=True) if part.left]
    if steps:
        return replace(target, steps=tuple(steps))
    if any(part.found for part in parts):
        runs = ", ".join(map(str, sorted({run for part in parts for run in part.by})))
        raise UsageError(f"nothing of that is left to undo: run {runs} took it back already")
    raise UsageError(f"run {target.run} {_missing(engine, wanted)}; {_deeds(engine, target)}")


def _part(
    engine: Engine, step: int, partition: int | None, wanted: Wanted, undos: Sequence[UndoStep]
) -> _Part:
    part = _Part()
    for page in pages(engine, step, wanted):
        places = [Place(step, one.entity, one.stream, one.key) for one in page]
        back = engine.database.query(
            lambda conn, places=places: taken_back(engine.database, conn, undos, places)  # type: ignore[misc]
        )
        for change, place in zip(page, places, strict=True):
            _add(part, change, place, wanted, back)
        if part.left:
            return part
    if wanted.is_whole and partition is not None:
        part.left = engine.database.query(QuietLinks(engine.database, step, partition, wanted).any)
    return part


def _add(part: _Part, change: Change, place: Place, wanted: Wanted, back: TakenBack) -> None:
    names, taken = chosen(change, wanted.fields), back.fields.get(place, {})
    tied = bool(change.stream) and change.action is not Action.DECIDE and not wanted.fields
    if not names and wanted.fields:
        return
    part.found = True
    part.left = part.left or not names <= taken.keys() or (tied and not back.link(place))
    part.by |= back.by(place)


# -- there is nothing ------------------------------------------------------------------------------


def _missing(engine: Engine, wanted: Wanted) -> str:
    """What a run did not do, in words."""
    fields = " or ".join(sorted(wanted.fields))
    whom = [_labels(engine, them) for them in (wanted.users, wanted.clients) if them]
    if not fields:
        return f"did nothing to {' in '.join(whom)}"
    return f"changed no {' of '.join([fields, ' in '.join(whom)] if whom else [fields])}"


def _deeds(engine: Engine, target: Undoable) -> str:
    """What a run did, in words."""
    fields: Counter[tuple[str, str]] = Counter()
    created: Counter[str] = Counter()
    users: dict[UUID, None] = {}
    clients: dict[UUID, None] = {}
    for step, _ in target.steps:
        for page in pages(engine, step, Wanted()):
            for one in page:
                if one.action is Action.CREATE:
                    created[one.kind] += 1
                else:
                    fields.update((name, one.kind) for name in chosen(one, ()))
                users |= {one.entity: None} if one.kind is Kind.USER else {}
                clients |= {one.client: None} if one.client else {}
    told = [f"changed {name} of {_some(n, kind)}" for (name, kind), n in fields.most_common()]
    told += [f"created {_some(n, kind)}" for kind, n in created.items()]
    who = [f"users: {_labels(engine, users)}"] if users else []
    where = [f"clients: {_labels(engine, clients)}"] if clients else []
    return "; ".join([f"it {', '.join(told) or 'changed no value'}", *who, *where])


def _labels(engine: Engine, ids: Collection[UUID]) -> str:
    first = list(ids)[:_TOLD]
    known = engine.database.query(lambda conn: short_labels(engine.database, conn, first))
    more = [f"{len(ids) - _TOLD} more"] if len(ids) > _TOLD else []
    return ", ".join([*(known.get(one, str(one)) for one in first), *more])


def _some(count: int, kind: str) -> str:
    return f"{count} {kind}" if count == 1 else f"{count} {kind}s"
