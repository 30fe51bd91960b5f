"""Whatever happened to three sources and their desk, after a clean run it is as the model says."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import Phase, given, note, seed, settings
from hypothesis import strategies as st

from syncd import settings as configuration
from syncd import toml_file
from syncd.cli.exits import changes_anything
from syncd.connectors import base
from syncd.entities import Kind
from syncd.settings import ConnectionSettings, Settings
from syncd.store import tables as t
from syncd.store.database import Database
from syncd.store.entities import load_entities
from syncd.store.runs import Runs
from syncd.sync import connections, deciding, editing, flow, merging, undoing, walking
from syncd.sync.engine import Engine
from tests.properties.conftest import EXAMPLES
from tests.properties.several import (
    FIELDS,
    PEOPLE,
    SITES,
    SOURCES,
    TARGETS,
    Model,
    Provider,
    Said,
    Variant,
)
from tests.properties.states import contents
from tests.properties.worlds import Worlds

HISTORIES = int(os.environ.get("SYNCD_TEST_HISTORIES", "0")) or EXAMPLES
PARTS = 8
"""Tests that the histories are dealt out to, so that several processes share them."""
seen_whole = settings(
    settings.get_profile("sameness"),
    phases=[Phase.explicit, Phase.generate],  # a history is short enough to be read as it is
)
many = settings(seen_whole, max_examples=(HISTORIES or 2000) // PARTS)
some = settings(seen_whole, max_examples=(HISTORIES or 200) // PARTS)
fewer = settings(seen_whole, max_examples=(HISTORIES or 80) // PARTS)
few = settings(seen_whole, max_examples=(HISTORIES or 8) // PARTS)

# -- histories -------------------------------------------------------------------------------------

source = st.sampled_from(SOURCES)
person = st.sampled_from(PEOPLE)
maybe = st.sampled_from((None, None, "x", "y"))
anything = st.fixed_dictionaries(
    {"org": st.sampled_from(("a", "a", "a", "b"))},
    optional={
        **{name: st.sampled_from(("x", "y", "z")) for name in FIELDS},
        "site": st.sampled_from(SITES),
        "listed": st.just(True),
        "active": st.booleans(),
        "guest": st.just(True),
    },
)
at_home = {"org": "a", "site": "Hull", "listed": True}
said = st.one_of(anything, anything.map(lambda record: {**record, **at_home}))
"""Records that agree on where people live are what most sources have."""
leaving = {
    "absent": st.sampled_from(("deactivate", "keep", "wait")),
    "disabled": st.sampled_from(("deactivate", "keep", "wait")),
    "outside": st.sampled_from(("keep", "deactivate")),
}
plain = {
    "cell": st.just("always"),
    "phone": st.just("always"),
    "dept": st.just(False),
    "own_title": st.just(True),
}
"""Most mappings are like that, and most shortcuts are made for them."""
variant = st.one_of(
    st.builds(Variant, **leaving, **plain),
    st.builds(
        Variant,
        **leaving,
        cell=st.sampled_from(("always", "create")),
        phone=st.sampled_from(("always", "empty")),
        dept=st.booleans(),
        own_title=st.booleans(),
    ),
)
order = st.permutations(SOURCES).flatmap(lambda all_: st.integers(0, 3).map(lambda n: all_[:n]))
orders_by_field = {
    "user.phone": order,
    "user.site": order,
    "user.active": source.map(lambda one: [one]),
}
precedence = st.one_of(
    st.fixed_dictionaries({"default": order}),
    st.fixed_dictionaries({"default": order}, optional=orders_by_field),
).map(lambda orders: {name: list(one) for name, one in orders.items() if one})
field = st.sampled_from((*FIELDS, "active"))

happening = st.one_of(
    st.tuples(st.just("say"), source, person, st.one_of(said, said, st.none())),
    st.tuples(st.just("say"), source, person, said),
    st.tuples(st.just("sync"), source),
    st.tuples(st.just("sync"), source),
    st.tuples(st.just("sync"), source),
    st.tuples(st.just("undo"), source),
    st.tuples(st.just("outage"), source),
    st.tuples(st.just("empty"), source),
    st.tuples(st.just("set"), person, field, st.booleans()),
    st.tuples(st.just("release"), person, field),
    st.tuples(st.just("map"), source, variant),
    st.tuples(st.just("prefer"), precedence),
)
everybody = st.fixed_dictionaries(dict.fromkeys(PEOPLE, said))
beginnings = st.fixed_dictionaries(
    {one: st.one_of(everybody, st.dictionaries(person, said, max_size=3)) for one in SOURCES}
)
variants = st.fixed_dictionaries(dict.fromkeys(SOURCES, variant))


# -- a desk and its model --------------------------------------------------------------------------


class Desk:
    """A real desk and the model, through the same history."""

    def __init__(
        self, database: Database, model: Model, people: dict[str, dict[str, Said]]
    ) -> None:
        self.database, self.model, self.people = database, model, people
        self.configure()

    def configure(self) -> None:
        files = {one: self.model.variants[one].toml() for one in SOURCES}
        chosen = Settings(
            folder=Path(),
            database=configuration.Database(),
            log=configuration.Log(),
            engine=configuration.Engine(threads=1, page_size=2),
            precedence=self.model.precedence,
            connections={one: _connection(one) for one in SOURCES},
            mappings={one: _toml(text, one) for one, text in files.items()},
        )
        self.engine = Engine(chosen, self.database, Runs(self.database))

    def live(self, what: tuple[Any, ...]) -> None:
        """One thing happens, to the desk and to the model."""
        getattr(self, what[0])(*what[1:])

    def say(self, source: str, person: str, said: Said | None) -> None:
        if said is None:
            self.people[source].pop(person, None)
        else:
            self.people[source][person] = said

    def sync(self, source: str, *, later: bool = True) -> flow.Outcome:
        if later:
            self.database.clock_offset += timedelta(hours=2)
        self._serve(source)
        outcome = flow.sync(self.engine, source)
        held = bool(outcome.holds)
        for hold in outcome.holds:
            outcome = deciding.approve(self.engine, hold, "me")
        assert outcome.state in ("succeeded", "partial"), outcome
        self.model.meet(source)
        self.planned = self.model.hear(source, dict(self.people[source]), held)
        return outcome

    def undo(self, source: str) -> None:
        """A sync, and at once the way back."""
        self.model.meet(source)
        before = self.model.copy()
        outcome = self.sync(source)
        if not changes_anything(outcome.counts):
            return
        undoing.undo(self.engine, outcome.run, "me")
        connections.resume(self.engine, source, "me")
        self.model = before
        self.model.forget(source, self.planned)

    def outage(self, source: str) -> None:
        self._serve(source)
        Provider.down = True
        outcome = flow.sync(self.engine, source)
        assert outcome.state == "failed", outcome
        self.model.meet(source)

    def empty(self, source: str) -> None:
        """It answers with nothing, and nobody approves that."""
        Provider.people, Provider.down = {}, False
        outcome = flow.sync(self.engine, source)
        self.model.meet(source)
        if not outcome.holds:  # nobody was linked to it
            self.model.hear(source, {}, confirmed=False)

    def set(self, person: str, name: str, value: bool) -> None:
        if (user := self._user(person)) is None:
            return
        text = "yes" if value else "no"
        target = "active" if name == "active" else TARGETS[name]
        editing.set_values(self.engine, Kind.USER, user, {target: text}, "me")
        self.model.set(person, name, value if name == "active" else text)

    def release(self, person: str, name: str) -> None:
        user = self._user(person)
        if user is None or name not in self.model.users[self.model.whose(person)].set_by_hand:
            return
        target = "active" if name == "active" else TARGETS[name]
        editing.release(self.engine, Kind.USER, user, [target], "me")
        self.model.release(person, name)

    def map(self, source: str, variant: Variant) -> None:
        self.model.variants[source] = variant
        self.configure()

    def prefer(self, precedence: dict[str, list[str]]) -> None:
        self.model.precedence = precedence
        self.configure()

    def meet(self) -> None:
        """Every source is synced once."""
        for source in SOURCES:
            self.sync(source)

    def merge(self, kept: str, gone: str) -> None:
        users = self._user(kept), self._user(gone)
        assert users[0]
        assert users[1]
        merging.merge(self.engine, merging.Merge(Kind.USER, *users, "me"))
        self.model.merge(kept, gone)

    def _serve(self, source: str) -> None:
        Provider.people, Provider.down = self.people[source], False

    def _user(self, person: str) -> UUID | None:
        """Whom a record is about."""
        with self.database.read() as conn:
            c = t.link.c
            query = sa.select(c.entity_id).join(t.user, t.user.c.id == c.entity_id)
            query = query.where(c.stream == "people", c.key == person, sa.not_(t.user.c.retired))
            return conn.execute(query.limit(1)).scalar()

    def shown(self) -> dict[str, Any]:
        """What the desk shows of everybody."""
        with self.database.read() as conn:
            query = (
                sa.select(t.user.c.id, t.user.c.name, t.client.c.name, t.site.c.name)
                .join(t.client, t.client.c.id == t.user.c.client_id)
                .join(t.site, t.site.c.id == t.user.c.site_id)
                .where(sa.not_(t.user.c.retired))
            )
            rows = conn.execute(query).all()
            users = load_entities(self.database, conn, Kind.USER, [row[0] for row in rows])
            links = sa.select(t.link.c.entity_id, t.link.c.key).where(t.link.c.stream == "people")
            about = {one: self.model.whose(key) for one, key in conn.execute(links) if one}
        assert len({about[row[0]] for row in rows}) == len(rows), "somebody is there twice"
        return {about[row[0]]: _shown(users[row[0]], row[2], row[3]) for row in rows}


def _shown(user: Any, client: str, site: str) -> dict[str, Any]:
    names = {short: name for short, name in TARGETS.items() if user.values.get(name) is not None}
    return {
        "client": client,
        "site": site,
        "active": user.active,
        "values": {short: user.values[name] for short, name in names.items()},
        "owners": {short: user.owner(name) for short, name in names.items()},
        "set_by_hand": {
            next((s for s, n in TARGETS.items() if n == name), name): value
            for name, value in user.overrides.items()
        },
    }


def _connection(name: str) -> ConnectionSettings:
    return ConnectionSettings(name, "provider", name, None, {}, _toml("", name))


def _toml(text: str, name: str) -> Any:
    return toml_file.parse(text, name, f"{name}.toml", Path())


@pytest.fixture(autouse=True, scope="module")
def _provider() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "find", lambda _name: Provider)
        patch.setattr(walking.time, "sleep", lambda _seconds: None)
        yield


def _lives(desk: Desk, history: list[tuple[Any, ...]], last: list[str]) -> None:
    for what in history:
        note(repr(what))
        desk.live(what)
    database = desk.database
    database.clock_offset += timedelta(hours=2)
    for source in last:
        desk.sync(source, later=False)
    expected = {one: vars(user) for one, user in desk.model.users.items()}
    assert desk.shown() == expected
    before = contents(database, but=(t.change,))
    for source in last:
        desk.sync(source, later=False)
    assert contents(database, but=(t.change,)) == before


lives = given(
    people=beginnings,
    mapped=variants,
    orders=precedence,
    history=st.lists(happening, min_size=2, max_size=9),
    last=st.permutations(SOURCES),
)


whole = {one: said.map(lambda record: {**record, "guest": False}) for one in PEOPLE}
merged_lives = given(
    people=st.fixed_dictionaries(dict.fromkeys(SOURCES, st.fixed_dictionaries(whole))),
    mapped=variants,
    orders=precedence,
    history=st.tuples(
        st.lists(happening, max_size=3), st.lists(happening, min_size=2, max_size=9)
    ).map(lambda lists: [("meet",), *lists[0], ("merge", "ada", "bob"), *lists[1]]),
    last=st.permutations(SOURCES),
)
"""Every source knows everybody; something happens, two are merged, and life goes on."""


def _compare(
    database: Callable[[], Database], part: int, tries: settings, told: Any = lives
) -> Callable[[], None]:
    """A test of so many histories, other ones for each part."""

    @seed(part + 1000 * random.randrange(10**6) if EXAMPLES else part)
    @tries
    @told
    def compare(
        people: dict[str, dict[str, Said]],
        mapped: dict[str, Variant],
        orders: dict[str, list[str]],
        history: list[tuple[Any, ...]],
        last: list[str],
    ) -> None:
        fresh = database()
        fresh.clock_offset = timedelta(0)
        _lives(Desk(fresh, Model(orders, mapped), people), history, last)

    return compare


@pytest.mark.parametrize("part", range(PARTS))
def test_three_sources_come_to_what_the_model_says(worlds: Worlds, part: int) -> None:
    _compare(lambda: worlds.new().database, part, many)()


@pytest.mark.parametrize("part", range(PARTS))
def test_three_sources_come_to_what_the_model_says_on_postgresql(
    postgres: Callable[[], Engine], part: int
) -> None:
    _compare(lambda: postgres().database, part, some)()


@pytest.mark.parametrize("part", range(PARTS))
def test_two_who_were_merged_come_to_what_all_their_records_say(worlds: Worlds, part: int) -> None:
    _compare(lambda: worlds.new().database, part, fewer, merged_lives)()


@pytest.mark.parametrize("part", range(PARTS))
def test_two_who_were_merged_come_to_what_all_their_records_say_on_postgresql(
    postgres: Callable[[], Engine], part: int
) -> None:
    _compare(lambda: postgres().database, part, few, merged_lives)()
