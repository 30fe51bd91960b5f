"""MERGE: two clients, sites or users that are one become one; a person says so, and can undo it.

One of them stays. The other's records, identities, licenses and history go to it, and it is hidden
like one that is retired. A merge is planned and applied in one transaction: all of it, or nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from syncd import keys
from syncd.changes import MERGED, Action, Change, Decisions, Effect
from syncd.entities import LOCAL, Entity, Kind
from syncd.errors import Busy, UsageError
from syncd.mapping.contributions import Contribution
from syncd.mapping.fields import compile_mapping
from syncd.mapping.hearing import others_of
from syncd.mapping.homes import set_home, with_homes
from syncd.mapping.page import Context, Page
from syncd.mapping.rules import Mapping
from syncd.mapping.uniting import united, way
from syncd.mapping.values import Difference, Precedence
from syncd.store import merges
from syncd.store.answers import label, short_labels
from syncd.store.database import Transaction
from syncd.store.draft import Draft
from syncd.store.entities import load_entities
from syncd.store.facts import StoreFacts
from syncd.store.target.locks import lock_clients
from syncd.sync.applying import Application
from syncd.sync.closing import Outcome, close_within
from syncd.sync.engine import Engine

MODE = "merge"
MOST_HINTS = 20
"""Pairs of users who may be one, too, that are told."""


@dataclass(frozen=True, slots=True)
class Merge:
    """Two of one kind that are one: `gone` goes into `kept`."""

    kind: Kind
    kept: UUID
    gone: UUID
    actor: str
    reason: str = ""


def merge(engine: Engine, wanted: Merge, *, look: bool = False) -> Outcome:
    """Make one of two. `look`: only plan it, to be shown. Raises UsageError where they cannot be
    one, and Busy if somebody changes them at this very moment.
    """
    return engine.database.transact(lambda conn: _merge(engine, conn, wanted, look))


def _merge(engine: Engine, conn: Transaction, wanted: Merge, look: bool) -> Outcome:
    kept, gone = _both(engine, conn, wanted)
    run = engine.runs.insert_run(conn, None, "plan" if look else MODE, wanted.actor)
    step = engine.runs.add_step(conn, run, None)
    facts = StoreFacts(engine.database, 0, 0, step)
    draft = Draft(engine.database, step, LOCAL)
    with facts.joined(conn):
        notices = _hints(engine, conn, kept, gone)
        for page in _Planner(engine, conn, facts, wanted).pages(kept, gone):
            draft.add(conn, "", -1, page)
            draft.advance(page)
    engine.runs.update_step(conn, step, phase="apply", pages=draft.next_page, notices=notices)
    if look:
        draft.clear(conn, keep_changes=True)
        engine.runs.update_step(conn, step, state="planned")
        return close_within(engine, conn, run)
    stale = Application(
        engine.database, engine.runs, step, run, None, LOCAL, {}, facts, engine.report, careful=True
    ).run_within(conn)
    if stale:
        raise Busy("somebody changes them at this very moment; nothing was merged, try again")
    return close_within(engine, conn, run)


def _both(engine: Engine, conn: Transaction, wanted: Merge) -> tuple[Entity, Entity]:
    """Both of them, and nobody else writes to them or to their clients until this ends."""
    lock_clients(
        engine.database, conn, {(one.client or one.id).int for one in _two(engine, conn, wanted)}
    )
    return _two(engine, conn, wanted)


def _two(engine: Engine, conn: Transaction, wanted: Merge) -> tuple[Entity, Entity]:
    kind, ids = wanted.kind, (wanted.kept, wanted.gone)
    if wanted.kept == wanted.gone:
        raise UsageError(f"both are one and the same {kind}; name two")
    stored = load_entities(engine.database, conn, kind, ids)
    if any(one not in stored or stored[one].retired for one in ids):
        raise UsageError(f"there is no such {kind}")
    kept, gone = stored[wanted.kept], stored[wanted.gone]
    if kind is Kind.SITE and kept.client != gone.client:
        raise UsageError("they are sites of two clients; merge the clients, if these are one")
    return kept, gone


def _hints(engine: Engine, conn: Transaction, kept: Entity, gone: Entity) -> list[str]:
    """Users of two clients who may be one as well: nobody decides that but a person."""
    if kept.kind is not Kind.CLIENT:
        return []
    found = merges.rivals(conn, kept.id, gone.id, MOST_HINTS + 1)
    names = short_labels(engine.database, conn, {one for pair in found for one in pair[:2]})
    told = [
        f"{names[one.kept]} and {names[one.gone]} have the same {one.field}; if they are one: "
        f"syncd users merge {one.kept} {one.gone}"
        for one in found[:MOST_HINTS]
    ]
    return [*told, "and there are more such pairs"] if len(found) > MOST_HINTS else told


@dataclass(slots=True)
class _Planner:
    """Decides what a merge changes, by the page."""

    engine: Engine
    conn: Transaction
    facts: StoreFacts
    wanted: Merge

    def pages(self, kept: Entity, gone: Entity) -> Iterator[Decisions]:
        """All changes: those of the two first, so that nobody moves into what is not there."""
        work = self._context()
        page = Page()
        into: dict[UUID, UUID] = {}
        self._unite(work, page, kept, [gone], _inherited(kept, [gone], set()))
        if kept.kind is Kind.CLIENT:
            into = self._plan_sites(work, page, kept, gone)
        elif kept.kind is Kind.SITE:
            into = {gone.id: kept.id}
        yield page.out
        if kept.kind is not Kind.USER:
            for dwellers in merges.dwellers(self.conn, kept.kind, gone.id):
                yield Decisions([self._moved(one, kept, gone, into) for one in dwellers])

    def _context(self) -> Context:
        """A person's own work, under the rules of no connection."""
        engine = self.engine
        seniority = engine.runs.seniority(self.conn)
        precedence = Precedence(LOCAL, engine.settings.precedence, seniority)
        now = engine.database.now(self.conn).timestamp()
        rules = compile_mapping(Mapping())
        return Context(rules, self.facts, precedence, now, engine.speaker)

    # -- two that become one -----------------------------------------------------------------------

    def _unite(
        self,
        work: Context,
        page: Page,
        kept: Entity,
        gone: Sequence[Entity],
        role: str | None = None,
    ) -> None:
        """`role`: what a site takes over from one that goes."""
        ids = [one.id for one in (kept, *gone)]
        others = others_of(work, kept.kind, ids, [])
        said = [one for each in ids for one in others.get(each, ())]
        made = united(kept, gone, said, work.precedence)
        diff = way(kept, made, LOCAL)
        if role is not None:
            diff.set("role", None, role)
        if kept.kind is Kind.USER:
            _settle_home(work, page, made, said, diff)
        names = " and ".join(label(one) for one in gone)
        was = "was" if len(gone) == 1 else "were"
        reason = self._because(f"{names} {was} merged into it")
        if diff:
            page.change(_change(kept, _action(diff), reason, diff))
        for one in gone:
            before = {"retired": False}
            goes = merges.belongings(self.conn, one.kind, one.id, kept.id)
            after = {"retired": True, MERGED: {"into": kept.id.hex, **goes}}
            reason = self._because(f"it was merged into {label(kept)}")
            page.change(_change(one, Action.MERGE, reason, Difference(before, after)))

    def _because(self, what: str) -> str:
        why = f": {self.wanted.reason}" if self.wanted.reason else ""
        return f"{what} by {self.wanted.actor}{why}"

    # -- what belongs to a client or a site --------------------------------------------------------

    def _plan_sites(
        self, work: Context, page: Page, kept: Entity, gone: Entity
    ) -> dict[UUID, UUID]:
        """The sites of a client that goes are the other's; those of one name become one. Which site
        went into which.
        """
        database, conn = self.engine.database, self.conn
        ours = [one for one in merges.sites_of(database, conn, kept.id) if not one.retired]
        roles = {one.values.get("role") for one in ours}
        named = {_name(one): one for one in reversed(ours)}
        twins: dict[UUID, list[Entity]] = defaultdict(list)
        for site in merges.sites_of(database, conn, gone.id):
            twin = None if site.retired else named.get(_name(site))
            if twin is not None:
                twins[twin.id].append(site)
                continue
            page.change(self._moved_site(site, kept, roles))
            roles |= set() if site.retired else {site.values.get("role")}
        for one in ours:
            if one.id in twins:
                role = _inherited(one, twins[one.id], roles)
                roles.add(role)
                self._unite(work, page, one, twins[one.id], role)
        return {site.id: one for one, sites in twins.items() for site in sites}

    def _moved_site(self, site: Entity, kept: Entity, roles: set[str | None]) -> Change:
        """`roles`: those that sites of the client have."""
        assert site.client is not None
        diff = _move(site.client, kept.id, site.retired)
        role = site.values.get("role")
        if role is not None and role in roles:
            diff.set("role", role, None)
        change = _change(site, Action.MOVE, self._its_home(kept), diff)
        change.client = kept.id
        return change

    def _moved(
        self, one: merges.Dweller, kept: Entity, gone: Entity, into: dict[UUID, UUID]
    ) -> Change:
        """A user whose client or site went. `into`: which site went into which."""
        action, client, diff = Action.UPDATE, kept.client, Difference()
        if kept.kind is Kind.CLIENT:
            action, client = Action.MOVE, kept.id
            diff = _move(gone.id, kept.id, one.retired)
        if one.site in into:
            diff.set("site", one.site.hex, into[one.site].hex)
            diff.effects |= Effect.SITE_MOVE
        return Change(
            Kind.USER, action, one.user, client, "", "", self._its_home(kept), diff.after,
            diff.before, effects=diff.effects,
        )  # fmt: skip

    def _its_home(self, kept: Entity) -> str:
        return self._because(f"its {kept.kind} was merged into {label(kept)}")


def _settle_home(
    work: Context, page: Page, user: Entity, said: Sequence[Contribution], diff: Difference
) -> None:
    """Where all records together place the user, under the rules of the first of them."""
    ordered = work.precedence.ordered([one for one in said if one.speaks], Kind.USER, "client")
    if ordered and ordered[0].rules:
        work.rules = ordered[0].rules
        (known,) = with_homes(work, [(user, said)])
        set_home(work, known, page, diff)


def _action(diff: Difference) -> Action:
    if "client" in diff.after:
        return Action.MOVE
    if "active" in diff.after:
        return Action.REACTIVATE if diff.after["active"] else Action.DEACTIVATE
    return Action.UPDATE


def _change(entity: Entity, action: Action, reason: str, diff: Difference) -> Change:
    client = entity.id if entity.kind is Kind.CLIENT else entity.client
    if "client" in diff.after:
        client = UUID(hex=diff.after["client"])
    return Change(
        entity.kind, action, entity.id, client, "", "", reason, diff.after, diff.before,
        effects=diff.effects,
    )  # fmt: skip


def _move(before: UUID, after: UUID, retired: bool) -> Difference:
    """Whoever is retired, since it was merged itself, stays so."""
    diff = Difference()
    diff.set("client", before.hex, after.hex)
    if retired:
        diff.set("retired", True, True)
    return diff


def _name(site: Entity) -> str:
    return keys.key(Kind.SITE, "name", str(site.values.get("name", "")))


def _inherited(kept: Entity, gone: Sequence[Entity], roles: set[str | None]) -> str | None:
    """The role that a site without one takes over, if no other has it."""
    if kept.values.get("role") is not None:
        return None
    free = [role for one in gone if (role := one.values.get("role")) not in (None, *roles)]
    return free[0] if free else None
