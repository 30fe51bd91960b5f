"""A person's own changes: the same ledger, the same apply, with an actor instead of a source.

A value that a person set is an *override*: it stands whatever sources say, until it is released.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

from syncd.changes import OVERRIDES, OWNERS, Action, Change, Decisions
from syncd.entities import CUSTOM, FIELDS, LOCAL, MAIN_SITE, Entity, Field, Kind, new_id
from syncd.errors import UsageError
from syncd.mapping.active import deactivate, decide, verdict
from syncd.mapping.casts import custom_field
from syncd.mapping.contributions import Outsider
from syncd.mapping.hearing import others_of
from syncd.mapping.licenses import name_released
from syncd.mapping.names import ALIASES
from syncd.mapping.values import Difference, Precedence, difference
from syncd.store.database import Transaction
from syncd.store.draft import Draft
from syncd.store.entities import load_entities
from syncd.store.facts import StoreFacts
from syncd.store.target import edits
from syncd.sync.applying import Application
from syncd.sync.engine import Engine
from syncd.sync.flow import Outcome, close
from syncd.text import clean

TRUE = {"true", "yes", "1", "on"}
FALSE = {"false", "no", "0", "off"}


SHIELD = "keep_active"
"""The field that keeps a user whatever the sources say."""


def set_values(
    engine: Engine, kind: Kind, entity: UUID, values: dict[str, Any], actor: str
) -> Outcome:
    """Set fields of a client, site or user by hand; an empty text clears a field."""
    stored = _stored(engine, kind, entity)
    before: dict[str, Any] = {OVERRIDES: {}}
    after: dict[str, Any] = {OVERRIDES: {}}
    for given, text in values.items():
        name = ALIASES[kind].get(given, given)
        value = _checked(kind, name, text)
        after[OVERRIDES][name] = value if value is not None else ""
        before[OVERRIDES][name] = stored.overrides.get(name)
        if stored.values.get(name) != value:
            before[name], after[name] = stored.values.get(name), value
            owner = stored.provenance.get(name) or stored.provenance.get("*")
            if owner and owner != LOCAL:
                before.setdefault(OWNERS, {})[name] = owner
    change = _change(stored, Action.UPDATE, f"set by {actor}", before, after)
    return _apply(engine, actor, [change])


def release(engine: Engine, kind: Kind, entity: UUID, fields: list[str], actor: str) -> Outcome:
    """Give fields back to the sources: what they last said stands at once. Where none says
    anything, the value stays until one does; but for `keep_active`, which shields nobody then.
    """
    stored = _stored(engine, kind, entity)
    names = [ALIASES[kind].get(given, given) for given in fields] or list(stored.overrides)
    unset = [name for name in names if name not in stored.overrides]
    if not names:
        raise UsageError(f"nothing of this {kind} is set by hand")
    if unset:
        raise UsageError(
            f"{', '.join(unset)} is not set by hand here; set: {_list(stored.overrides)}"
        )
    diff = _said_by_sources(engine, stored, names)
    if SHIELD in names and _is_only_set_by_hand(stored, diff, SHIELD):
        diff.set(SHIELD, stored.values[SHIELD], None)
    before = {OVERRIDES: {name: stored.overrides[name] for name in names}, **diff.before}
    after = {OVERRIDES: dict.fromkeys(names), **diff.after}
    change = _change(stored, Action.UPDATE, f"released by {actor}", before, after)
    change.effects = diff.effects
    facts = _facts(engine)
    with facts.open():
        name_released(facts, [change])
    return _apply(engine, actor, [change])


def _is_only_set_by_hand(stored: Entity, diff: Difference, name: str) -> bool:
    """Whether a field has a value that no source gave, or says now."""
    owner = stored.provenance.get(name) or stored.provenance.get("*")
    taken = name in diff.after or name in diff.after.get(OWNERS, ())
    return name in stored.values and owner == LOCAL and not taken


def _facts(engine: Engine) -> StoreFacts:
    """What is stored, for whom no partition is their own."""
    return StoreFacts(engine.database, 0, 0, 0)


def _said_by_sources(engine: Engine, stored: Entity, names: list[str]) -> Difference:
    """What the sources together say of fields that were set by hand."""
    free = replace(
        stored, overrides={n: one for n, one in stored.overrides.items() if n not in names}
    )
    seniority = engine.database.query(engine.runs.seniority)
    precedence = Precedence(LOCAL, engine.settings.precedence, seniority)
    facts = _facts(engine)
    with facts.open():
        outsider = Outsider(facts, engine.speaker)
        said = others_of(outsider, stored.kind, [stored.id], []).get(stored.id, [])
    diff = difference(free, said, precedence).only(names)
    if stored.kind is Kind.USER and "active" in names:
        verdicts = [verdict(one) for one in said]
        decided = decide(free, verdicts, precedence)
        if decided and stored.active:
            deactivate(diff, verdicts, precedence)
        elif decided:
            diff.set("active", False, True)
    return diff


def add_user(
    engine: Engine, client: UUID, values: dict[str, Any], actor: str, site: UUID | None = None
) -> Outcome:
    """Create a user by hand; its values are overrides, so that no source rewrites them silently."""
    named = {ALIASES[Kind.USER].get(given, given): text for given, text in values.items()}
    checked = {name: _checked(Kind.USER, name, text) for name, text in named.items()}
    given = {name: value for name, value in checked.items() if value is not None}
    if not given.get("name"):
        raise UsageError("a user needs a name: name='Ada Lovelace'")
    owner = _stored(engine, Kind.CLIENT, client)
    changes = []
    home = site or engine.database.query(lambda conn: edits.main_site(conn, client))
    if home is None:
        main = {"name": owner.values.get("main_site_name", MAIN_SITE), "role": "main"}
        home = new_id()
        changes.append(_creation(Kind.SITE, home, client, {**main, "active": True}, actor))
    values = {"active": True, **given, "site": home.hex, OVERRIDES: dict(given)}
    changes.append(_creation(Kind.USER, new_id(), client, values, actor))
    return _apply(engine, actor, changes)


def _apply(engine: Engine, actor: str, changes: list[Change]) -> Outcome:
    """One run of mode edit: its plan is stored, then applied, like any other."""

    def work(conn: Transaction) -> tuple[int, int]:
        run = engine.runs.insert_run(conn, None, "edit", actor)
        step = engine.runs.add_step(conn, run, None)
        draft = Draft(engine.database, step, LOCAL)
        draft.add(conn, "", -1, Decisions(changes=changes))
        engine.runs.update_step(conn, step, phase="apply", pages=1)
        edits.unsettle(engine.database, conn, [change.entity for change in changes])
        return run, step

    run, step = engine.database.transact(work)
    Application(
        engine.database, engine.runs, step, run, None, LOCAL, {}, None, engine.report, careful=True
    ).run_to_end()
    return close(engine, run)


def _stored(engine: Engine, kind: Kind, entity: UUID) -> Entity:
    found = engine.database.query(lambda conn: load_entities(engine.database, conn, kind, [entity]))
    if entity not in found or found[entity].retired:
        raise UsageError(f"there is no such {kind}")
    return found[entity]


def _change(
    stored: Entity, action: Action, reason: str, before: dict[str, Any], after: dict[str, Any]
) -> Change:
    client = stored.id if stored.kind is Kind.CLIENT else stored.client
    return Change(stored.kind, action, stored.id, client, "", "", reason, after, before)


def _creation(kind: Kind, entity: UUID, client: UUID, values: dict[str, Any], actor: str) -> Change:
    return Change(kind, Action.CREATE, entity, client, "", "", f"added by {actor}", values)


def _checked(kind: Kind, name: str, value: Any) -> Any:
    """The value as it is kept, None for an empty one; UsageError says what the field takes."""
    text = clean(str(value))
    field = custom_field(name) if name.startswith(CUSTOM) else FIELDS[kind].get(name)
    if field is None and name.startswith(CUSTOM):
        raise UsageError(f'a custom field cannot be called "{name.removeprefix(CUSTOM)}"')
    if field is None:
        raise UsageError(f'a {kind} has no field "{name}"; it has: {_list(FIELDS[kind])}')
    if not text:
        if name in ("name", "active"):
            raise UsageError(f"{name} cannot be empty")
        return None
    return _typed(field, text)


def _typed(field: Field, text: str) -> Any:
    if field.type == "bool":
        word = text.lower()
        if word not in TRUE | FALSE:
            raise UsageError(f"{field.name} is yes or no")
        return word in TRUE
    if field.type == "date":
        return _date(field.name, text)
    if len(text) > field.width:
        raise UsageError(f"{field.name} is at most {field.width} characters long")
    return text


def _date(name: str, text: str) -> str:
    from datetime import date

    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise UsageError(f"{name} is a date like 2026-12-31") from None


def _list(names: Any) -> str:
    return ", ".join(sorted(names)) or "nothing"
